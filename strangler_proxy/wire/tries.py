"""How a request is tried: what a try tells of the upstream, and whether there is another.

What was sent is sent again only if asking twice is asking once (RFC 9110 §9.2.2) and its bytes are
still at hand; policies/retry.py says when and how often.
"""

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING

from strangler_proxy.policies.retry import NOT_SENT, pause_s, within_budget
from strangler_proxy.wire.faults import Fault, given_up
from strangler_proxy.wire.request import RequestHead
from strangler_proxy.wire.stage import WAITING

if TYPE_CHECKING:
    from strangler_proxy.wire.client import ClientConnection
    from strangler_proxy.wire.endpoint import Endpoint
    from strangler_proxy.wire.plane import Lane

REPLAYABLE_BYTES = 65_536


class Tries:
    """The part of an exchange that asks once more, or does not.

    The exchange gives its attributes their first values: one call less for each request.
    """

    __slots__ = (
        "_avoid", "_endpoint", "_fresh", "_pending", "_replay", "_retrying", "body_bytes",
        "client", "head", "lane", "probe", "sent", "stage", "tries",
    )  # fmt: skip
    lane: "Lane"

    client: "ClientConnection"
    head: RequestHead
    stage: int
    body_bytes: int
    tries: int
    """How often it was tried before."""
    sent: int
    """How often of these it was sent, and may have been carried out."""
    probe: float
    """The ticket of a probe: its outcome decides whether the breaker of its upstream closes."""
    _pending: list[bytes]
    """What is to be sent."""
    _replay: list[bytes] | None
    """What was sent, and could be sent again."""
    _fresh: bool
    """Only a new connection will do."""
    _endpoint: "Endpoint | None"
    _avoid: "tuple[Endpoint, ...]"
    """Where it was tried before."""
    _retrying: bool

    @abstractmethod
    def acquire(self) -> None:
        """Ask for a connection, and send the request on it."""

    @abstractmethod
    def fail(self, fault: Fault) -> None:
        """End with an answer of the proxy's own."""

    def _tried(self, *, failed: bool | None, goes_on: bool = False) -> None:
        """Tell once how a try went; None: it says nothing of the upstream.

        `goes_on`: another address is asked at once, and its answer will be the upstream's.
        """
        endpoint, self._endpoint = self._endpoint, None
        if self._retrying:
            self._retrying = False
            self.lane.pool.retrying -= 1
        if endpoint is not None:
            self._avoid = (*self._avoid, endpoint)
            if failed is not None:
                endpoint.pool.judge(endpoint, failed=failed, probe=self.probe, goes_on=goes_on)
                self.probe = self.probe if goes_on else 0.0
        if self.probe and not goes_on:
            ticket, self.probe = self.probe, 0.0
            breaker = self.lane.pool.breaker
            if breaker is not None:
                breaker.release(ticket)

    @property
    def _elsewhere(self) -> bool:
        """Whether there is an address that has not been tried."""
        tried = self._avoid if self._endpoint is None else (*self._avoid, self._endpoint)
        return self.lane.pool.has_other_than(tried)

    def _pause(self, outcome: int) -> float | None:
        """The pause before the next try, None when there is none."""
        return pause_s(
            outcome,
            repeatable=self.head.idempotent and self._can_replay(),
            tries=self.tries if outcome == NOT_SENT else self.sent,
            elsewhere=self._elsewhere,
            retry=self.lane.retry,
            drawn=self.client.plane.draw(),
        )

    def _again(self, outcome: int, pause: float | None) -> bool:
        """Send the request once more, if that may be done; now, or after a pause."""
        if pause is None or not self._may_go_on(pause):
            return False
        if outcome != NOT_SENT:
            self.sent += 1
            self._fresh = True
            self._pending = (self._replay or []) + self._pending
            self._replay = None
        pool = self.lane.pool
        self.client.plane.note("retry", pool.name)
        self.tries += 1
        self._retrying = True
        pool.retrying += 1  # from now on: those that pause would else all come back together
        self.stage = WAITING
        self.client.wait_forever()  # the pause is short
        asyncio.get_running_loop().call_later(pause, self._once_more)
        return True

    def _may_go_on(self, pause: float) -> bool:
        """Whether the upstream may be asked again: neither broken nor asked again too much."""
        pool, plane = self.lane.pool, self.client.plane
        if self._is_broken:
            return False
        in_flight = pool.in_use + pool.waiting
        if pause and not within_budget(pool.retrying, in_flight, pool.upstream.retry_percent):
            plane.note("retry-refused", pool.name)
            return False
        return True

    @property
    def _is_broken(self) -> bool:
        """Whether the breaker lets nobody pass, and this is not the probe that it lets pass."""
        breaker = self.lane.pool.breaker
        if breaker is None or self.probe:
            return False
        return breaker.state(self.client.plane.now) != "closed"

    def _once_more(self) -> None:
        if self.stage != WAITING:
            return  # the client has left, or the time is over
        pool = self.lane.pool
        if self._is_broken and pool.breaker is not None:
            wait_s = pool.breaker.wait_s(self.client.plane.now)
            self.fail(given_up(pool.name, int(wait_s) + 1))
        else:
            self.acquire()

    def _can_replay(self) -> bool:
        return self._replay is not None and self.body_bytes <= REPLAYABLE_BYTES
