"""The body of the request whose turn it is, while it is not here whole.

It is gathered before an upstream is asked: a client that sends a byte a second then costs the
proxy a socket, and no service a thread. Past a number of bytes it is passed on as it comes. Its
pace is judged all the while.
"""

from typing import TYPE_CHECKING

from strangler_proxy.wire.faults import Fault
from strangler_proxy.wire.pace import NEVER, Pace

if TYPE_CHECKING:
    from strangler_proxy.wire.exchange import Exchange
    from strangler_proxy.wire.plane import DataPlane


class Arriving:
    """One body under way; what it holds of the room for all is given back by `let_go`."""

    __slots__ = ("_body_bytes", "_exchange", "_held_bytes", "_pace", "_plane", "is_read")

    def __init__(self, plane: "DataPlane", exchange: "Exchange", *, is_read: bool) -> None:
        self._plane, self._exchange = plane, exchange
        self.is_read = is_read
        """Whether the client is read from; while it is not, it cannot be slow."""
        self._body_bytes = 0
        self._held_bytes = 0
        timeouts = plane.timeouts
        self._pace: Pace | None = None
        if timeouts.body_min_rate:
            self._pace = Pace(timeouts.body_min_rate, timeouts.body_grace_s)

    # --- gathering

    def is_enough(self) -> bool:
        """Whether an upstream may be asked by now."""
        exchange, plane = self._exchange, self._plane
        if exchange.received or exchange.body_bytes >= plane.limits.gather_bytes:
            return True
        if exchange.waits_for_word:
            return True  # RFC 9110 §10.1.1: it is the upstream that says whether to go on
        size = exchange.gathered()
        plane.gathered_bytes += size - self._held_bytes
        self._held_bytes = size
        if plane.gathered_bytes <= plane.limits.gather_total_bytes:
            return False
        plane.note("gather-full", "")
        return True

    def let_go(self) -> None:
        """What was gathered has been sent, or is not wanted any more."""
        self._plane.gathered_bytes -= self._held_bytes
        self._held_bytes = 0

    # --- its pace

    def has_come(self) -> bool:
        """Whether some of the body has come since its pace was last looked at."""
        return self._exchange.body_bytes > self._body_bytes

    def due(self, now: float) -> float:
        """When more of it must be here."""
        before, self._body_bytes = self._body_bytes, self._exchange.body_bytes
        pace = self._pace
        if pace is None:
            return NEVER
        pace.came(self._body_bytes - before, now)
        if self.is_read and not self._exchange.waits_for_word:
            pace.run(now)
        else:
            pace.stand(now)
        return pace.until

    def fault(self, now: float) -> Fault:
        """What there is to say to a client that has taken too long."""
        pace = self._pace
        if pace is not None and self.due(now) <= now:
            return Fault(408, f"the body came at less than {pace.min_rate:g} bytes a second")
        return Fault(408, f"nothing of the body came for {self._plane.timeouts.body_idle_s:g} s")
