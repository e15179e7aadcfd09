"""What all connections of one worker share: routes, pools, limits, counts and the time.

The clock is read a few times a second by `tick`, not for each request: deadlines are of seconds.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, cast

from strangler_proxy.config import Config
from strangler_proxy.routing import Entry, RouteTable
from strangler_proxy.running.counts import Tally
from strangler_proxy.wire.identity import request_ids
from strangler_proxy.wire.pool import Pool
from strangler_proxy.wire.request import RequestHead

TICK_S = 0.25
CACHED_PATHS = 8192
LONGEST_CACHED_PATH = 256


class Watched(Protocol):
    """A connection with a deadline."""

    deadline: float

    def expire(self) -> None:
        """Do what the passed deadline calls for."""

    def drain(self) -> None:
        """Finish what is in flight and close."""

    def abort(self) -> None:
        """Close at once."""


class Caller(Protocol):
    """A client as far as a canary needs to know it."""

    def caller(self, head: RequestHead, sticky: str) -> bytes:
        """What the caller of this request is known by."""


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """One side of one route, made ready: where its requests go and where they are counted."""

    route: str
    timeout_s: float
    pool: Pool
    tally: Tally


class DataPlane:
    """The state of one worker's data path."""

    def __init__(self, config: Config, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.now = clock()
        self.new_id = request_ids()
        self.connections: set[Watched] = set()
        self.draining = False
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.pools: dict[str, Pool] = {}
        self._retired: list[Pool] = []
        self._lanes: dict[tuple[str, str], Lane] = {}
        self.install(config)

    def install(self, config: Config) -> None:
        """Serve by this configuration from the next request on; those in flight are not touched.

        Raises OSError, with nothing changed, when an upstream's CA file is unusable.
        """
        pools = {}
        for name, upstream in config.upstreams.items():
            old = self.pools.get(name)
            unchanged = old is not None and old.upstream == upstream
            pools[name] = old if old and unchanged else Pool(name, upstream, self)
        table = RouteTable(config)
        replaced = [pool for name, pool in self.pools.items() if pools.get(name) is not pool]
        self.config, self.pools = config, pools
        self._table, self._lanes = table, {}
        self._find_cached = lru_cache(CACHED_PATHS)(self._find)
        self.limits, self.timeouts = config.limits, config.timeouts
        self.unmeasured_bytes = min(config.limits.target_bytes, config.limits.header_bytes)
        self.most_pieces = 4 * config.limits.headers
        self.trusted = tuple(ipaddress.ip_network(text) for text in config.trusted_proxies)
        for pool in replaced:
            pool.retire()
        self._retired = [pool for pool in self._retired + replaced if pool.in_use]

    def lane(self, client: Caller, head: RequestHead) -> Lane:
        """Choose who answers; who the caller is matters only when a route splits its callers."""
        if len(head.path) > LONGEST_CACHED_PATH:  # a cache of these would fill the memory
            found = self._find(head.method, head.path)
        else:
            found = self._find_cached(head.method, head.path)
        if type(found) is Lane:
            return found
        entry = cast(Entry, found)
        return self._lane(entry, entry.decide(client.caller(head, entry.sticky)).upstream)

    def _find(self, method: bytes, path: bytes) -> Lane | Entry:
        """The lane of a route that has one, the entry of a route that splits its callers."""
        entry = self._table.match(method, path)
        return self._lane(entry, entry.fixed.upstream) if entry.fixed else entry

    def _lane(self, entry: Entry, upstream: str) -> Lane:
        key = (entry.name, upstream)
        lane = self._lanes.get(key)
        if lane is None:
            tally = self.tallies.setdefault(key, Tally())
            lane = Lane(entry.name, entry.timeout_s, self.pools[upstream], tally)
            self._lanes[key] = lane
        return lane

    def tick(self) -> None:
        """Read the clock, and end what has waited too long."""
        now = self.now = self._clock()
        for connection in [item for item in self.connections if item.deadline < now]:
            connection.expire()
        for pool in self.pools.values():
            pool.close_idle(now)

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
