"""Requests of some routes, parked for a moment and sent on in their order, to whoever serves then.

Bounded in time, number and bytes. A hold that reaches a bound while it is being got is broken: what
it held goes on at once, nothing is refused, and whoever asked for it learns that it did not last.
Once it has been promised, a fence may be up behind it: who comes beyond its number or bytes is
answered 503 with Retry-After, unsent, so that those who wait need not run into the fence. Its time
ends it always.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strangler_proxy.wire.exchange import Exchange
from strangler_proxy.wire.faults import Fault, unavailable
from strangler_proxy.wire.stage import HELD, OVER, WAITING

if TYPE_CHECKING:
    from strangler_proxy.wire.plane import DataPlane

log = logging.getLogger(__name__)
_LOOK_AGAIN_S = 0.001


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long, how many, and how many bytes of them; all for one worker."""

    seconds: float
    most_requests: int
    most_bytes: int


class Hold:
    """The requests of some routes in one worker; belongs to its event loop."""

    def __init__(
        self,
        plane: "DataPlane",
        name: str,
        routes: Iterable[str],
        bounds: Bounds,
        promised: bool = False,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.name = name
        self.routes = frozenset(routes)
        self.broken: str | None = None
        """Why it did not last, in words."""
        self.promised = promised
        """Whether it was told that all is held: from then on no bound but time breaks it."""
        self._plane, self._bounds = plane, bounds
        self._parked: deque[Exchange] = deque()
        self._bytes = 0
        self._began = loop.time()
        self._sent_before = [exchange for exchange in plane.in_flight() if self._holds(exchange)]
        self._timer = loop.call_later(bounds.seconds, self._expire)

    def _holds(self, exchange: Exchange) -> bool:
        return exchange.lane.route in self.routes

    async def drained(self, within_s: float) -> bool:
        """Wait until all that had been sent before the hold is answered; whether it was in time.

        A client that has left is answered: what its request still does at the upstream cannot be
        seen from here, and a fence at the database must be ready for it.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while self.broken is None:
            self._sent_before = [each for each in self._sent_before if each.stage != OVER]
            if not self._sent_before:
                self.promised = True
                return True
            if loop.time() >= until:
                return False
            await asyncio.sleep(_LOOK_AGAIN_S)
        return False

    def park(self, exchange: Exchange) -> Fault | None:
        """Keep a request here, or say how it is to be answered because there is no room for it.

        Its body is read no further than what has been gathered of it.
        """
        reached = self._reached(exchange)
        if reached and self.promised:
            return unavailable(f"requests are held for a moment: {reached}", self._left_s())
        exchange.stage = HELD
        exchange.client.wait_forever()  # the hold has a bound of its own
        self._parked.append(exchange)
        self._bytes += _size(exchange)
        if reached:
            self._break(reached)
        return None

    def _reached(self, exchange: Exchange) -> str | None:
        """The bound that this one is too many for, in words; who has left counts no more."""
        bounds = self._bounds
        number, size = len(self._parked) + 1, self._bytes + _size(exchange)
        if number > bounds.most_requests or size > bounds.most_bytes:
            self._parked = deque(each for each in self._parked if each.stage == HELD)
            self._bytes = sum(map(_size, self._parked))
            number, size = len(self._parked) + 1, self._bytes + _size(exchange)
        if number > bounds.most_requests:
            return f"more than {bounds.most_requests} requests came"
        return f"more than {bounds.most_bytes} bytes came" if size > bounds.most_bytes else None

    def _left_s(self) -> int:
        left_s = self._timer.when() - asyncio.get_running_loop().time()
        return max(1, math.ceil(left_s))

    def extend(self, seconds: float) -> None:
        """Let it last this long from now, if that is longer: its end is under way."""
        if self.broken is None:
            loop = asyncio.get_running_loop()
            until = max(self._timer.when(), loop.time() + seconds)
            self._timer.cancel()
            self._timer = loop.call_at(until, self._expire)

    def release(self) -> dict[str, Any]:
        """Send on what is held, in the order in which it came, to whoever serves now.

        Returns how many requests were held, and for how long the hold lasted, in seconds.
        """
        self._timer.cancel()
        parked, self._parked = self._parked, deque()
        self._plane.end_hold(self)
        sent = 0
        for exchange in parked:
            if exchange.stage == HELD:  # else the client has left
                sent += 1
                self._send_on(exchange)
        lasted_s = asyncio.get_running_loop().time() - self._began
        return {"held": sent, "lasted_s": lasted_s, "broken": self.broken}

    def _send_on(self, exchange: Exchange) -> None:
        """Send one on; whatever becomes of it, those behind it are sent on too."""
        exchange.stage = WAITING
        try:
            self._plane.dispatch(exchange)
        except Exception:
            log.exception("a held request could not be sent on")
            if exchange.stage != OVER:
                exchange.fail(Fault(500, "the proxy could not send this request on; see its log"))

    def _expire(self) -> None:
        self._break(f"it was not ended within {self._bounds.seconds:g} s")

    def _break(self, why: str) -> None:
        self.broken = why
        self._plane.note("hold-broken", "", told=f"the hold '{self.name}' is broken: {why}")
        self.release()


def _size(exchange: Exchange) -> int:
    """How many bytes of a request are kept: what is here of its body, and its head."""
    head = exchange.head
    return exchange.pending_bytes + len(head.target) + sum(map(len, head.lines))
