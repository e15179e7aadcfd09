"""One upstream as one worker sees it: its addresses, the choice between them, and who must wait.

Bounded: at most `max_connections` are open, at most `queue` exchanges wait for one. Connections
are lent for one exchange at a time.
"""

import asyncio
import errno
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from strangler_proxy.config import Upstream
from strangler_proxy.config.upstream import FAILURES
from strangler_proxy.gateway.tls import client_context
from strangler_proxy.policies.breaker import Breaker
from strangler_proxy.policies.ejection import Standing
from strangler_proxy.wire.endpoint import Endpoint, Member
from strangler_proxy.wire.exchange import Exchange
from strangler_proxy.wire.faults import Fault, bad_gateway, gateway_timeout, overloaded
from strangler_proxy.wire.stage import OVER, QUEUED, WAITING
from strangler_proxy.wire.upstream import UpstreamConnection

if TYPE_CHECKING:
    from strangler_proxy.wire.plane import DataPlane

_OWN_WANT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL})
"""What this machine has no more of (descriptors, memory, ports): no upstream's failure."""


class Pool:
    """The connections of one worker to one upstream.

    Raises OSError or ssl.SSLError when made with an unusable CA file.
    """

    def __init__(
        self,
        name: str,
        upstream: Upstream,
        plane: "DataPlane",
        members: Sequence[Member] | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self.name = name
        self.upstream = upstream
        self.plane = plane
        self.breaker = breaker
        self.failing = breaker.failing if breaker else frozenset(FAILURES)
        """Statuses that count as failures of the upstream."""
        self.in_use = 0
        self.retrying = 0
        """Requests of those in flight that are tries after a first one."""
        self.endpoints: tuple[Endpoint, ...] = ()
        self.only: Endpoint | None = None
        """The one address there is: then nothing has to be chosen."""
        self.watched = False
        """Whether it matters here how an exchange ended."""
        self._usable: tuple[Endpoint, ...] = ()
        self._turn = 0
        self._waiting: deque[Exchange] = deque()
        self._dials: set[asyncio.Task[None]] = set()
        self._keeps = upstream.reuse != "never"
        self._context = client_context(upstream)
        fixed = [Member(origin.address) for origin in upstream.origins]
        self.place(fixed if members is None else members)

    # --- addresses

    def place(self, members: Sequence[Member]) -> None:
        """Take these for the upstream's addresses; what is known of those that stay is kept."""
        before = {endpoint.address: endpoint for endpoint in self.endpoints}
        placed = []
        # A registry may name an address twice: it is one server all the same.
        for member in {member.address: member for member in members}.values():
            endpoint = before.pop(member.address, None) or Endpoint(self, member)
            if member.well and not endpoint.member.well:
                endpoint.standing = Standing()  # what it did before it was unwell is over
            endpoint.member = member
            placed.append(endpoint)
        for endpoint in before.values():
            endpoint.gone = True
            endpoint.close_idle()
        self.endpoints = tuple(placed)
        alone = len(placed) == 1 and not placed[0].member.draining
        self.only = placed[0] if alone else None
        self.watched = self.breaker is not None or len(placed) > 1
        self._sort_out()

    def _sort_out(self) -> None:
        """Find the addresses that may be asked: never one that an operator has taken out.

        None that is well: then all are, for a check that is wrong must not take an upstream away.
        """
        now = self.plane.now
        staying = [endpoint for endpoint in self.endpoints if not endpoint.member.draining]
        well = [e for e in staying if e.member.well and e.standing.until <= now]
        self._usable = tuple(well or staying)

    @property
    def may_be_asked(self) -> bool:
        """Whether there is an address at all."""
        return bool(self._usable)

    def choose(self, avoid: tuple[Endpoint, ...] = ()) -> Endpoint | None:
        """The address with the fewest requests outstanding; equals take turns. None: there is none.

        `avoid`: addresses that have failed this request, taken only if there is no other. All of
        them: one that refuses connections never has any outstanding, and would be taken again.
        """
        usable = self._usable
        if not usable:
            return None
        # A request that comes back has had its turn: else two addresses never change places.
        self._turn = turn = (self._turn + (not avoid)) % len(usable)
        best = None
        for endpoint in (*usable[turn:], *usable[:turn]):
            if endpoint in avoid:
                continue
            if best is None or endpoint.in_flight < best.in_flight:
                best = endpoint
        return best or self.choose()

    def has_other_than(self, tried: tuple[Endpoint, ...]) -> bool:
        """Whether somebody else could be asked."""
        return any(other not in tried for other in self._usable)

    # --- lending

    def open(self, exchange: Exchange, endpoint: Endpoint) -> None:
        """Have a new connection opened: `exchange.connected` or `.unreachable` is called.

        Where no more may be open the exchange is queued.
        """
        if self.in_use < self.upstream.max_connections:
            self._dial(exchange, endpoint)
        elif len(self._waiting) < self.upstream.queue:
            self._waiting.append(exchange)
            exchange.stage = QUEUED
        else:
            exchange.fail(overloaded(self.name, "has no connection free, and its queue is full"))

    @property
    def waiting(self) -> int:
        """Exchanges in the queue."""
        return len(self._waiting)

    def figures(self) -> dict[str, Any]:
        """How it is now; an address has requests in flight, and may be left out here."""
        now = self.plane.now
        return {
            "in_flight": self.in_use,
            "idle": sum(len(endpoint.idle) for endpoint in self.endpoints),
            "waiting": self.waiting,
            "addresses": {
                str(e.address): [e.in_flight, int(e.standing.until > now)] for e in self.endpoints
            },
        }

    def forget(self, exchange: Exchange) -> None:
        """Take an exchange that gave up waiting out of the queue."""
        if exchange in self._waiting:
            self._waiting.remove(exchange)

    def give_back(self, connection: UpstreamConnection, *, reusable: bool) -> None:
        """Take a lent connection back; the next in the queue gets it, or a new one in its place."""
        endpoint = connection.endpoint
        self.in_use -= 1
        endpoint.in_flight -= 1
        if reusable and self._keeps and not endpoint.gone:
            connection.good_until = self.plane.now + self.upstream.idle_s
            endpoint.idle.append(connection)
        else:
            connection.close()
        if self._waiting:
            self._serve_waiting()

    def tick(self, now: float) -> None:
        """Close what has been idle for too long, and take back whom time has pardoned."""
        for endpoint in self.endpoints:
            endpoint.close_idle(now)
        if self.only is None:
            self._sort_out()

    def retire(self) -> None:
        """Serve those who wait, keep nothing: the upstream's settings have been replaced."""
        self._keeps = False
        for endpoint in self.endpoints:
            endpoint.close_idle()

    def _serve_waiting(self) -> None:
        while self._waiting and self.in_use < self.upstream.max_connections:
            exchange = self._waiting.popleft()
            exchange.stage = WAITING
            exchange.acquire()

    def _dial(self, exchange: Exchange, endpoint: Endpoint) -> None:
        idle = [other for other in self.endpoints if other.idle]
        if self.in_use + sum(len(other.idle) for other in idle) >= self.upstream.max_connections:
            idle[0].idle.popleft().close()
        self.in_use += 1
        endpoint.in_flight += 1
        task = asyncio.get_running_loop().create_task(self._connect(exchange, endpoint))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _connect(self, exchange: Exchange, endpoint: Endpoint) -> None:
        address, name = endpoint.address, None
        if self._context is not None:
            name = self.upstream.tls_name or address.host
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.upstream.connect_timeout_s):
                _, connection = await loop.create_connection(
                    lambda: UpstreamConnection(endpoint),
                    address.host,
                    address.port,
                    ssl=self._context,
                    server_hostname=name,
                )
        except TimeoutError:
            waited = self.upstream.connect_timeout_s
            fault = gateway_timeout(self.name, f"did not accept a connection in {waited:g} s")
            self._not_connected(exchange, endpoint, fault)
        except Exception as fault:  # noqa: BLE001 - a name may be unusable in many ways
            reason = getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
            if getattr(fault, "errno", None) in _OWN_WANT:
                full = overloaded(
                    self.name, f"cannot be asked: the proxy's machine says '{reason}'"
                )
                self._not_connected(exchange, endpoint, full, failed=None)
            else:
                unreached = bad_gateway(self.name, f"cannot be reached: {reason}")
                self._not_connected(exchange, endpoint, unreached)
        else:
            if exchange.stage == OVER:
                self.give_back(connection, reusable=True)
            else:
                exchange.connected(connection)

    def _not_connected(
        self, exchange: Exchange, endpoint: Endpoint, fault: Fault, failed: bool | None = True
    ) -> None:
        self.in_use -= 1
        endpoint.in_flight -= 1
        if exchange.stage != OVER:
            exchange.unreachable(fault, failed=failed)
        elif failed:
            self.judge(endpoint, failed=True)
        self._serve_waiting()

    # --- how it went

    def judge(
        self, endpoint: Endpoint, *, failed: bool, probe: float = 0.0, goes_on: bool = False
    ) -> None:
        """Take note of how an exchange with this address went; only where it matters.

        `goes_on`: the request is on its way to another address, so that a failure is this
        address' own: an upstream of which half is dead still answers, and its breaker stays closed.
        """
        if not self.watched:
            return
        now = self.plane.now
        if failed:
            if not goes_on:
                self._note_failure(now, probe)
            self._note_failure_of(endpoint, now)
        else:
            if self.breaker is not None:
                self.breaker.succeeded(now, probe)
            endpoint.standing.succeeded(now, self.upstream.eject)

    def _note_failure(self, now: float, probe: float) -> None:
        if self.breaker is not None and self.breaker.failed(now, probe):
            told = f"the breaker of '{self.name}' is open"
            self.plane.note("breaker-opened", self.name, told=told)

    def _note_failure_of(self, endpoint: Endpoint, now: float) -> None:
        if self.only is None and endpoint.standing.failed(now, self.upstream.eject):
            endpoint.close_idle()
            self._sort_out()
            # Counted by upstream: addresses come and go, and each would be counted for ever.
            told = f"{endpoint.address} of '{self.name}' is left out"
            self.plane.note("ejected", self.name, told=told)
