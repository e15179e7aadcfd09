"""Whether Redis may be asked now: not while it fails, and then by one request at a time. Pure."""

from dataclasses import dataclass


@dataclass(slots=True)
class Outage:
    """Up, or down since a moment and to be asked again at another. Times are the caller's seconds.

    `pause_s`: between two probes. A probe needs no end: one that is never answered, because its
    client hung up, is followed by another after the pause.
    """

    pause_s: float
    since: float | None = None
    again_at: float = 0.0

    def may_ask(self, now: float) -> bool:
        """Whether this request asks; while Redis is down, the first after each pause does."""
        if self.since is None:
            return True
        if now < self.again_at:
            return False
        self.again_at = now + self.pause_s
        return True

    def failed(self, now: float) -> bool:
        """Note a failure; True if an outage begins with it."""
        if self.since is not None:
            return False
        self.since = now
        self.again_at = now + self.pause_s
        return True

    def answered(self, asked_at: float, now: float) -> float | None:
        """Note an answer; if it ends an outage, how many seconds that lasted.

        An answer to what was asked before the outage began says nothing of its end.
        """
        if self.since is None or asked_at <= self.since:
            return None
        lasted, self.since = now - self.since, None
        return lasted
