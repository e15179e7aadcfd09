"""How long a proxy is waited for, so that one that hangs is given up while the holds still last.

Whatever is asked under a hold gets half of what is left of it: there is time for the way back, and
for the way back of that. Asks nobody.
"""

import time
from collections.abc import Callable

CALM_S = 5.0
"""Where nobody waits for it."""
LEAST_S = 0.5
_OVER_S = 1.0


class Patience:
    """The time of one proxy's hold, by the mover's clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: float | None = None

    def begin(self, seconds: float) -> None:
        """A hold is about to be asked for: it lasts for at least so long from now."""
        self._until = self._clock() + seconds

    def end(self) -> None:
        """Nothing is held any more, so nobody waits."""
        self._until = None

    def share_s(self) -> float:
        """For the next question; at least a moment, also right behind the hold's end."""
        left_s = None if self._until is None else self._until - self._clock()
        if left_s is None or left_s < -_OVER_S:
            return CALM_S
        return max(LEAST_S, left_s / 2)
