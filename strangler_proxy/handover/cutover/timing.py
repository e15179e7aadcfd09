"""The time of one cut-over: how long its steps took, and what its hold leaves.

Sets no bound itself: it says what is left, by the clock that it is given.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from strangler_proxy.handover.deciding import fence_seconds, time_left
from strangler_proxy.handover.faults import HandoverFault

Checkpoint = Callable[[str], None]
"""Called between steps, with the name of the step that has ended."""


class Late(HandoverFault):
    """The hold leaves no time for what is still to be done."""


@dataclass(slots=True)
class Timing:
    """Of a hold of `hold_s`, where clocks may be wrong by `skew_s`; all in seconds."""

    clock: Callable[[], float]
    checkpoint: Checkpoint
    hold_s: float
    skew_s: float
    steps_s: dict[str, float] = field(default_factory=dict)
    asked_at: float | None = None
    """When the hold was asked for."""
    released_at: float = 0.0
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.clock()

    def begin(self) -> None:
        """The first step begins now."""
        self._last = self.clock()

    def ask(self) -> None:
        """The hold is asked for now."""
        self.asked_at = self._last = self.clock()

    def release(self) -> None:
        """What was held has been sent on."""
        self.released_at = self.clock()

    def ended(self, step: str) -> None:
        """Note how long it took, and tell who waits for it."""
        now = self.clock()
        self.steps_s[step] = now - self._last
        self._last = now
        self.checkpoint(step)

    @property
    def held_s(self) -> float:
        """From the request for the hold to the end of the release; 0 where there was none."""
        return 0.0 if self.asked_at is None else self.released_at - self.asked_at

    def fence_s(self) -> float:
        """How long the owner's fence may stand. Raises Late."""
        seconds = fence_seconds(self.asked_at or 0.0, self.clock(), self.hold_s, self.skew_s)
        if seconds is None:
            raise Late(f"the hold of {self.hold_s:g} s was used up by getting it")
        return seconds

    def left_s(self) -> float:
        """Until the first hold may run out."""
        return time_left(self.asked_at or 0.0, self.clock(), self.hold_s)

    def late(self) -> bool:
        """Whether a hold may have run out by some clock."""
        return self.left_s() <= self.skew_s

    def refuse_late(self) -> None:
        """Raises Late when the hold is nearly over."""
        if self.late():
            raise Late(f"the hold of {self.hold_s:g} s was nearly over")
