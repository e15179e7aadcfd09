"""Work to be finished before what does it is stopped, such as events that wait to be sent."""

from dataclasses import dataclass

from strangler_proxy.steps.gates.health import Checkup
from strangler_proxy.steps.pace import wait_until
from strangler_proxy.steps.step import Facts, Pace, PartFailed


@dataclass(frozen=True)
class FinishFirst:
    """Does nothing, and undone waits until `left` answers None: nothing is left to be done.

    Put it behind the part that starts who does the work, so that undoing comes here first.
    """

    work: str
    left: Checkup
    within_s: float = 60.0
    family: str | None = None

    @property
    def name(self) -> str:
        """The part's name in the ledger."""
        return f"finish {self.work}"

    @property
    def forward(self) -> str:
        """What executing does, for the plan."""
        return f"nothing yet: {self.work} will be finished before this is undone"

    @property
    def back(self) -> str:
        """What undoing does, for the plan."""
        return f"wait until {self.work} are finished"

    def prepare(self) -> Facts:
        """There is nothing to note."""
        return {}

    def execute(self, facts: Facts, pace: Pace) -> None:
        """Nothing."""

    def undo(self, facts: Facts, pace: Pace) -> None:
        """Wait. Raises PartFailed with what is left."""
        left: list[str | None] = [None]

        def done() -> bool:
            left[0] = self.left()
            return left[0] is None

        if not wait_until(done, self.within_s, pace, interval_s=0.2):
            raise PartFailed(f"{self.work} are not finished within {self.within_s:g} s: {left[0]}")

    def holds(self, facts: Facts) -> bool:
        """There is nothing that could be lost."""
        return True
