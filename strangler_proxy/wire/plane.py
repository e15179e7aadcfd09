"""What all connections of one worker share: routes, pools, limits, counts and the time.

Deadlines are looked at a few times a second by `tick`: what has one is ended up to TICK_S late, and
never early, for it is set by the clock itself. All else goes by `now`, the time of the last tick.
"""

import asyncio
import ipaddress
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, cast

from strangler_proxy.config import COMPOSED, Compose, Config, Retry, Upstream
from strangler_proxy.policies.breaker import Breaker
from strangler_proxy.routing import Entry, RouteTable
from strangler_proxy.running.counts import Tally
from strangler_proxy.wire.endpoint import Member
from strangler_proxy.wire.equipment import Closable, Equipment
from strangler_proxy.wire.exchange import Exchange
from strangler_proxy.wire.faults import LOOP, unavailable
from strangler_proxy.wire.gate import Gate
from strangler_proxy.wire.hold import Bounds, Hold
from strangler_proxy.wire.identity import request_ids
from strangler_proxy.wire.outside import Outside
from strangler_proxy.wire.pool import Pool
from strangler_proxy.wire.stage import GATHERING, OVER

log = logging.getLogger(__name__)
TICK_S = 0.25
CLOSE_S = 1.0
CACHED_PATHS = 8192
LONGEST_CACHED_PATH = 256


class Watched(Protocol):
    """A connection with a deadline."""

    @property
    def deadline(self) -> float:
        """When `expire` is to be called, on the plane's clock."""

    @property
    def answering(self) -> Exchange | None:
        """The request that is being answered there."""

    def expire(self) -> None:
        """Do what the passed deadline calls for."""

    def drain(self) -> None:
        """Finish what is in flight and close."""

    def abort(self) -> None:
        """Close at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """One side of one route, made ready: where its requests go and where they are counted."""

    route: str
    timeout_s: float
    idle_s: float
    retry: Retry | None
    pool: Pool
    tally: Tally


class HoldRefused(Exception):
    """Nothing is held; the message says why."""


class DataPlane:
    """The state of one worker's data path."""

    def __init__(
        self,
        config: Config,
        clock: Callable[[], float],
        outside: Outside | None = None,
        members: Mapping[str, Sequence[Member]] | None = None,
        rows: Mapping[str, int] | None = None,
    ) -> None:
        self.clock = clock
        self.now = clock()
        self.outside = outside or Outside()
        self.draw = self.outside.draw
        self.new_id = request_ids()
        self.connections: set[Watched] = set()
        self.draining = False
        self.gathered_bytes = 0
        """Bytes of bodies that are kept until there is enough of each to ask an upstream."""
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.events: Counter[tuple[str, str, str]] = Counter()
        """How often something happened: (event, route or upstream, detail)."""
        self.pools: dict[str, Pool] = {}
        self.equipment = Equipment(config, self.outside, None)
        self.hold: Hold | None = None
        self._retired: list[Pool] = []
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._bounded: list[tuple[float, float, Exchange]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.install(config, members, rows)

    # --- configuration

    def install(
        self,
        config: Config,
        members: Mapping[str, Sequence[Member]] | None = None,
        rows: Mapping[str, int] | None = None,
    ) -> None:
        """Serve by this configuration from the next request on; those in flight are not touched.

        `members`: the addresses of upstreams where they are known better than from the file;
        `rows`: which row of the board each upstream's breaker has. Raises OSError or ConfigError,
        with nothing changed, when a file or a variable that it names is unusable.
        """
        pools = {
            name: self._pool(name, upstream, (members or {}).get(name), (rows or {}).get(name))
            for name, upstream in config.upstreams.items()
        }
        table = RouteTable(config)
        equipment = Equipment(config, self.outside, self.equipment)
        # Nothing can fail from here on.
        for name, pool in pools.items():
            pool.upstream = config.upstreams[name]
            if members is not None and name in members:
                pool.place(members[name])
        replaced = [pool for name, pool in self.pools.items() if pools.get(name) is not pool]
        before, self.equipment = self.equipment, equipment
        self.config, self.pools = config, pools
        self._table, self._lanes = table, {}
        self._forget_found()
        self.limits, self.timeouts = config.limits, config.timeouts
        self.unmeasured_bytes = min(config.limits.target_bytes, config.limits.header_bytes)
        self.most_pieces = 4 * config.limits.headers
        self.trusted = tuple(ipaddress.ip_network(text) for text in config.trusted_proxies)
        for pool in replaced:
            pool.retire()
        self._retired = [pool for pool in self._retired + replaced if pool.in_use]
        for unused in before.retire(equipment):
            self._spawn(self._let_go(unused))

    def _pool(
        self, name: str, upstream: Upstream, members: Sequence[Member] | None, row: int | None
    ) -> Pool:
        """The pool of before where it serves as well; a canary's percent is no matter of pools."""
        old = self.pools.get(name)
        if (
            old is not None
            and old.upstream.model_copy(update={"canary": upstream.canary}) == upstream
        ):
            return old
        breaker = None
        if upstream.breaker is not None:
            board = self.outside.board
            shared = board is not None and row is not None
            breaker = Breaker(
                upstream.breaker,
                board.cells(row) if shared else None,  # type: ignore[union-attr, arg-type]
                board.guard(row) if shared else None,  # type: ignore[union-attr, arg-type]
            )
        return Pool(name, upstream, self, members, breaker)

    def place(self, name: str, members: Sequence[Member]) -> None:
        """Take these for an upstream's addresses; one that is not served any more is passed by."""
        if name in self.pools:
            self.pools[name].place(members)

    def set_keys(self, url: str, jwks: Mapping[str, Any]) -> None:
        """Verify tokens of the issuer that publishes its keys there by these from now on."""
        for verifier in self.equipment.verifiers.values():
            if verifier.settings.jwks == url:
                verifier.set_keys(jwks)

    # --- choosing

    def dispatch(self, exchange: Exchange) -> None:
        """Send a request on its way: at once where its route asks for nothing more."""
        head = exchange.head
        if len(head.path) > LONGEST_CACHED_PATH:  # a cache of these would fill the memory
            found = self._find(head.method, head.path)
        else:
            found = self._find_cached(head.method, head.path)
        if type(found) is Lane:
            exchange.go(found)
        else:
            entry = cast(Entry, found)
            exchange.lane = self._first_lane(entry)
            if self.hold is not None and entry.name in self.hold.routes:
                no_room = self.hold.park(exchange)
                if no_room is not None:
                    Gate(self, exchange, entry).turn_away(no_room, "hold")
            else:
                Gate(self, exchange, entry).enter()

    def observe(self, exchange: Exchange) -> None:
        """Have a request looked at that ends before it could be sent on its way."""
        head = exchange.head
        head.request_id = head.request_id or self.new_id()
        entry = self._table.match(head.method, head.path)
        exchange.lane = self._first_lane(entry)
        Gate(self, exchange, entry).observe()

    def _find(self, method: bytes, path: bytes) -> Lane | Entry:
        """The lane of a route whose requests all go the same way, the entry of any other."""
        entry = self._table.match(method, path)
        if entry.fixed is None or self.equipment.guards(entry):
            return entry
        if self.hold is not None and entry.name in self.hold.routes:
            return entry
        lane = self.lane(entry, entry.fixed.upstream)
        guarded = lane.pool.breaker is not None
        return entry if guarded else lane

    def _first_lane(self, entry: Entry) -> Lane:
        """What stands for the lane while none is chosen."""
        route = entry.route
        if route is None:
            return self.lane(entry, self.config.default)
        return self.lane(entry, route.control)

    def lane(self, entry: Entry, upstream: str) -> Lane:
        """The way of an entry's requests to an upstream."""
        key = (entry.name, upstream)
        lane = self._lanes.get(key)
        if lane is None:
            tally = self.tallies.setdefault(key, Tally())
            route = entry.route
            timeout_s = route.timeout_s if route else self.config.default_timeout_s
            lane = self._lanes[key] = Lane(
                entry.name,
                timeout_s,
                route.idle_s or timeout_s if route else timeout_s,
                route.retry if route else None,
                # A composed answer has no upstream; nothing is ever sent on its lane.
                self.pools[self.config.default if upstream == COMPOSED else upstream],
                tally,
            )
        return lane

    def arguments(self, method: bytes, path: bytes) -> Mapping[str, Any]:
        """The arguments of the rule that a path matches."""
        return self._table.arguments(method, path)

    def compose(self, exchange: Exchange, entry: Entry, compose: Compose) -> None:
        """Have an answer put together from several."""
        from strangler_proxy.wire.composing import Composing

        if exchange.client.is_part:  # its parts might lead back here
            exchange.fail(LOOP)
            return
        exchange.composing = Composing(self, exchange, entry, compose)
        exchange.composing.start()

    # --- holding

    def begin_hold(
        self, name: str, routes: Iterable[str], bounds: Bounds, promised: bool = False
    ) -> Hold:
        """Park the requests of these routes from now on; one hold at a time.

        `promised`: it is in force elsewhere, and nothing was sent before it from here. Raises
        HoldRefused when there is another.
        """
        if self.hold is not None:
            raise HoldRefused(f"the hold '{self.hold.name}' is in force")
        self.hold = Hold(self, name, routes, bounds, promised)
        self._forget_found()
        return self.hold

    def end_hold(self, hold: Hold) -> None:
        """Park nothing more; the hold sends on what it has."""
        if self.hold is hold:
            self.hold = None
            self._forget_found()

    def in_flight(self) -> Iterator[Exchange]:
        """The requests that are on their way and not over."""
        for connection in self.connections:
            exchange = connection.answering
            if exchange is not None and exchange.stage not in (GATHERING, OVER):
                yield exchange

    def _forget_found(self) -> None:
        self._find_cached = lru_cache(CACHED_PATHS)(self._find)

    # --- what happens

    def note(self, event: str, subject: str, detail: str = "", *, told: str | None = None) -> None:
        """Count that something happened; `told` is also said in the log."""
        self.events[event, subject, detail] += 1
        if told is not None:
            log.warning("%s", told)

    def happened(self) -> Iterator[tuple[tuple[str, str, str], int]]:
        """How often what has happened, by (event, route or upstream, detail)."""
        yield from self.events.items()
        log_file, limiter = self.equipment.log, self.equipment.limiter
        if log_file is not None:
            yield ("log-dropped", "", ""), log_file.dropped
        if limiter is not None:
            yield ("limit-dropped", "", ""), limiter.dropped
            yield ("limit-unlocked", "", ""), limiter.unlocked

    def wait_for(self, exchange: Exchange, condition: Coroutine[Any, Any, None]) -> None:
        """Let an exchange go on once a condition is met; whatever happens, it ends."""
        self._spawn(self._met(exchange, condition))

    async def _met(self, exchange: Exchange, condition: Coroutine[Any, Any, None]) -> None:
        try:
            await condition
        except Exception:
            log.exception("a request could not be let in")
            if exchange.stage != OVER:
                exchange.fail(unavailable("the proxy could not judge this request; see its log"))

    def _spawn(self, waiting: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(waiting)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- time

    def bound(self, exchange: Exchange, total_s: float) -> None:
        """Let an exchange be ended when all of it has taken this long."""
        self._bounded.append((self.clock() + total_s, total_s, exchange))

    def tick(self) -> None:
        """Read the clock, and end what has waited too long."""
        now = self.now = self.clock()
        for connection in [item for item in self.connections if item.deadline < now]:
            self._expire(connection)
        if self._bounded:
            self._end_bounded(now)
        for pool in self.pools.values():
            pool.tick(now)
        if self.equipment.log is not None:
            self.equipment.log.flush()

    def _expire(self, connection: Watched) -> None:
        """End what waits there; a fault in it must not stop everybody's time."""
        try:
            connection.expire()
        except Exception:
            log.exception("a connection could not be timed out")
            connection.abort()

    def _end_bounded(self, now: float) -> None:
        bounded, self._bounded = self._bounded, []
        for until, total_s, exchange in bounded:
            if exchange.stage == OVER:
                continue
            if until <= now:
                exchange.run_out(total_s)
            else:
                self._bounded.append((until, total_s, exchange))

    # --- the end

    def drain(self) -> None:
        """Let requests in flight finish, and close connections as they become idle."""
        self.draining = True
        for connection in list(self.connections):
            connection.drain()

    def abort(self) -> None:
        """Close every connection, whatever it is doing."""
        for connection in list(self.connections):
            connection.abort()
        for pool in [*self.pools.values(), *self._retired]:
            pool.retire()

    async def close(self) -> None:
        """Let go of what the equipment holds open; what was logged is written."""
        equipment = self.equipment
        for kept in (equipment.log, equipment.tracer):
            if kept is not None:
                await asyncio.to_thread(kept.close, CLOSE_S)
        if equipment.limiter is not None:
            await equipment.limiter.close()

    async def _let_go(self, unused: Closable) -> None:
        """Close what a reload has replaced; whoever still asks it has that long."""
        await asyncio.sleep(CLOSE_S)
        closing = unused.close()
        if closing is not None:
            await closing
