"""Work to be finished before what does it is stopped, such as events that wait to be sent."""

from dataclasses import dataclass

from strangler_proxy.steps.gates.health import Checkup
from strangler_proxy.steps.pace import wait_until
from strangler_proxy.steps.parts.process import StartProcess
from strangler_proxy.steps.step import Facts, Pace, PartFailed


@dataclass(frozen=True)
class FinishFirst:
    """Does nothing, and undone waits until `left` answers None: nothing is left to be done.

    Put it behind the part that starts who does the work, so that undoing comes here first. Whoever
    that is may have died since: what is not finished within `alone_s` is given to `helper`, which
    does it too, and is stopped at the end.
    """

    work: str
    left: Checkup
    within_s: float = 60.0
    helper: StartProcess | None = None
    alone_s: float = 5.0
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
        """Wait, and have it helped with. Raises PartFailed with what is left."""
        if self.helper is None:
            self._wait(self.within_s, pace)
            return
        try:
            if self._left_after(min(self.alone_s, self.within_s), pace) is not None:
                self.helper.execute(self.helper.prepare(), pace)
                self._wait(self.within_s, pace)
        finally:
            self.helper.stop(pace)  # that of a run that was killed, too

    def _wait(self, within_s: float, pace: Pace) -> None:
        if left := self._left_after(within_s, pace):
            raise PartFailed(f"{self.work} are not finished within {within_s:g} s: {left}")

    def _left_after(self, within_s: float, pace: Pace) -> str | None:
        """What is left, None as soon as that is nothing."""
        left: list[str | None] = [None]

        def done() -> bool:
            left[0] = self.left()
            return left[0] is None

        wait_until(done, within_s, pace, interval_s=0.2)
        return left[0]

    def holds(self, facts: Facts) -> bool:
        """There is nothing that could be lost."""
        return True
