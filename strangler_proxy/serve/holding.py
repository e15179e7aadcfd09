"""The hold in force, as the supervisor remembers it: a worker's successor is to be given it.

Opens nothing and reads no clock.
"""

from dataclasses import dataclass

from strangler_proxy.serve.link import Message

RELEASE_S = 2.0
"""So long a hold lasts at least once a configuration is served under it: all are to be given it."""


@dataclass(slots=True)
class Holding:
    """A hold that every worker was promised to keep: nothing but its time can end it in one.

    `order` is as it was given; `until` is on the clock that is given to its methods.
    """

    order: Message
    until: float
    lost: str | None = None
    """What was broken off, in words, if a worker died under it."""

    @property
    def name(self) -> str:
        """What it is released by."""
        return str(self.order["name"])

    def left_s(self, now: float) -> float:
        """Until it runs out; negative afterwards."""
        return self.until - now

    def rest(self, now: float) -> Message | None:
        """The order for a worker that begins now; None when it has run out."""
        left_s = self.left_s(now)
        return {**self.order, "seconds": left_s} if left_s > 0 else None

    def extended(self, now: float) -> None:
        """A configuration is being served under it."""
        self.until = max(self.until, now + RELEASE_S)
