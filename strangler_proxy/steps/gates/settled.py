"""That something is as it should be: asked once where time mends nothing, else until it is."""

from dataclasses import dataclass

from strangler_proxy.steps.gates.health import Checkup
from strangler_proxy.steps.step import Evidence, Pace, Verdict


@dataclass(frozen=True)
class Settled:
    """Passes as soon as `left` answers None; what it answers else is told to people.

    Otherwise it has failed at once. With `waits_s` it is asked again so long, and then the step
    stops where it stands: a person settles what is left, and nothing need be proved anew.
    """

    name: str
    criteria: str
    left: Checkup
    waits_s: float | None = None
    interval_s: float = 0.5

    @property
    def patience_s(self) -> float:
        """How long it may go on being asked."""
        return self.waits_s or 0.0

    def begin(self, pace: Pace) -> "_Asking":
        """Each answer tells all by itself."""
        return _Asking(self)


@dataclass(frozen=True)
class _Asking:
    gate: Settled

    def look(self) -> Evidence:
        """Ask once more."""
        left = self.gate.left()
        if left is None:
            return Evidence(Verdict.PASSED, "nothing is left")
        waits = self.gate.waits_s is not None
        return Evidence(Verdict.INCONCLUSIVE if waits else Verdict.FAILED, left)
