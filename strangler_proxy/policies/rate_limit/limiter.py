"""The rate limits of one worker: asks where the counts are, and what to do when they are away."""

import logging
import time
from collections.abc import Awaitable, Callable

from strangler_proxy.config import LimitStore, RateLimit
from strangler_proxy.policies.rate_limit.counted import Plan, plan
from strangler_proxy.policies.rate_limit.outage import Outage
from strangler_proxy.policies.rate_limit.redis import RedisCounts
from strangler_proxy.policies.rate_limit.shared_memory import SharedCounts, shared_bytes
from strangler_proxy.policies.rate_limit.verdict import UNAVAILABLE, UNLIMITED, Verdict, judge

log = logging.getLogger(__name__)

_MOST_PLANS = 4096
_MEANWHILE = {
    "count": "each machine counts rate limits by itself meanwhile",
    "refuse": "requests to routes with rate limits get 503 meanwhile",
}


class RateLimiter:
    """Decides of requests whether their callers may ask again already.

    `shared_fd`: memory that all workers share, `shared_bytes(store)` zero bytes; its owner keeps it
    open. None: memory of this process alone. `clock`: seconds, never going back, the same in all
    processes of the machine. Raises StoreUnusable where the store cannot be used.
    """

    def __init__(
        self,
        store: LimitStore,
        shared_fd: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self._memory = SharedCounts(shared_bytes(store), shared_fd, clock)
        self._redis = RedisCounts(store) if store.redis is not None else None
        self._outage = Outage(max(store.retry_s, store.timeout_s))
        self._plans: dict[str, Plan] = {}

    @property
    def dropped(self) -> int:
        """How many callers this worker has forgotten too early, for want of entries."""
        return self._memory.dropped

    @property
    def unlocked(self) -> int:
        """How often this worker counted without a lock that a stopped worker held."""
        return self._memory.unlocked

    @property
    def redis_down(self) -> bool:
        """Whether counts are in Redis, and Redis does not answer."""
        return self._outage.since is not None

    def check(
        self, route: str, limits: tuple[RateLimit, ...], callers: tuple[bytes, ...]
    ) -> Verdict | Awaitable[Verdict]:
        """Count a request of these callers, one for each limit, if all limits have room.

        The verdict comes at once, except from Redis: then it must be awaited, for the store's
        `timeout_s` at most. What a caller is does not matter for a limit by route.
        """
        if not limits:
            return UNLIMITED
        ready = self._plans.get(route)
        if ready is None or ready.limits is not limits:
            ready = self._ready(route, limits)
        if self._redis is None:
            return self._counted_here(ready, callers)
        now = self._clock()
        if not self._outage.may_ask(now):
            return self._meanwhile(ready, callers)
        return self._asked(self._redis, ready, callers, now)

    async def close(self) -> None:
        """Give memory and connections back."""
        self._memory.close()
        if self._redis is not None:
            await self._redis.close()

    def _ready(self, route: str, limits: tuple[RateLimit, ...]) -> Plan:
        if len(self._plans) >= _MOST_PLANS:
            # Routes that are no longer configured; the others come again.
            self._plans.clear()
        ready = self._plans[route] = plan(route, limits, self._memory.hasher)
        return ready

    def _counted_here(self, ready: Plan, callers: tuple[bytes, ...]) -> Verdict:
        windows = self._memory.take([one.ask(callers) for one in ready.counted])
        return judge(ready.amounts, windows)

    def _meanwhile(self, ready: Plan, callers: tuple[bytes, ...]) -> Verdict:
        if self._store.while_down == "refuse":
            return UNAVAILABLE
        return self._counted_here(ready, callers)

    async def _asked(
        self, redis: RedisCounts, ready: Plan, callers: tuple[bytes, ...], asked_at: float
    ) -> Verdict:
        try:
            verdict = await redis.check(ready, callers)
        except redis.failures as error:
            if self._outage.failed(self._clock()):
                log.warning(
                    "Redis at %s does not answer (%s): %s; it is asked again every %g s",
                    redis.address,
                    str(error) or f"nothing within {self._store.timeout_s:g} s",
                    _MEANWHILE[self._store.while_down],
                    self._outage.pause_s,
                )
            return self._meanwhile(ready, callers)
        lasted = self._outage.answered(asked_at, self._clock())
        if lasted is not None:
            log.warning("Redis at %s answers again after %.1f s", redis.address, lasted)
        return verdict
