"""Whether a body comes fast enough: a least rate, and a time by which it may be behind. Pure.

Like a bucket that time empties: each byte buys its share of a second, and what is bought beyond
the grace is lost. So a fast beginning pays for no slow end, and a client that is silent for less
than the grace, or never below the rate, is never judged slow. Silence is judged only while bytes
could come: time in which nobody reads is not the client's.

Opens no sockets and reads no clock.
"""

NEVER = float("inf")


class Pace:
    """The pace of one body; times are seconds of one clock, which only goes forward."""

    __slots__ = ("_grace_s", "_left_s", "_since", "min_rate")

    def __init__(self, min_rate: float, grace_s: float) -> None:
        self.min_rate = min_rate
        """Bytes a second."""
        self._grace_s = grace_s
        self._left_s = grace_s
        self._since: float | None = None

    def run(self, now: float) -> None:
        """From now on bytes can come."""
        if self._since is None:
            self._since = now

    def came(self, size: int, now: float) -> None:
        """So many bytes have come since this was last called."""
        if self._since is not None:
            self._left_s -= now - self._since
            self._since = now
        self._left_s = min(self._grace_s, self._left_s + size / self.min_rate)

    def stand(self, now: float) -> None:
        """From now on none can come."""
        if self._since is not None:
            self.came(0, now)
            self._since = None

    @property
    def until(self) -> float:
        """When it is too slow, if nothing more comes."""
        return NEVER if self._since is None else self._since + self._left_s
