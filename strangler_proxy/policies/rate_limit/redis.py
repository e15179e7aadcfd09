"""Counts in Redis, which several machines share. The only sockets of this package.

`limits` counts there (its scripts are atomic, one limit at a time) by Redis' own clock, so that
the machines' clocks do not matter. Every limit is read before any is counted: a request that one
of them refuses takes nothing from the others, unless other requests take the last of a limit
between the two; then it has taken one of each limit before that one.
"""

import asyncio
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from strangler_proxy.config import LimitStore
from strangler_proxy.policies.rate_limit.counted import Counted, Plan
from strangler_proxy.policies.rate_limit.unusable import StoreUnusable
from strangler_proxy.policies.rate_limit.verdict import Verdict, judge, refusal
from strangler_proxy.policies.rate_limit.window import SECOND_US, Window

_PREFIX = "strangler"
_PORT = 6379
_CONNECTIONS = 32
_CLOSE_S = 1.0


class RedisCounts:
    """Limits counted in one Redis, over a bounded number of connections.

    `failures`: the exceptions that mean "Redis could not be asked". `address`: for messages.
    """

    def __init__(self, store: LimitStore) -> None:
        url, self.address = _located(store.redis or "")
        self._storage = RedisStorage(
            url, implementation="redispy", key_prefix=_PREFIX, **_options(store)
        )
        self._strategy = SlidingWindowCounterRateLimiter(self._storage)
        self._timeout_s = store.timeout_s
        self._free = asyncio.Semaphore(_CONNECTIONS)
        known = self._storage.base_exceptions
        # ValueError: something that is no number stands where a count should.
        self.failures: tuple[type[Exception], ...] = (
            *(known if isinstance(known, tuple) else (known,)),
            OSError,
            ValueError,
        )

    async def check(self, plan: Plan, callers: Sequence[bytes]) -> Verdict:
        """Count a request if every limit has room; all of it within the store's `timeout_s`.

        Raises one of `failures` otherwise (TimeoutError is an OSError).
        """
        async with asyncio.timeout(self._timeout_s), self._free:
            keys = [one.identifiers(callers) for one in plan.counted]
            verdict = judge(plan.amounts, await self._windows(plan, keys))
            if verdict.allowed:
                for one, key in zip(plan.counted, keys, strict=True):
                    if not await self._strategy.hit(one.item, *key):
                        return await self._overtaken(plan, keys, one)
            return verdict

    async def close(self) -> None:
        """Close the connections, those in use too."""
        bridge: Any = self._storage.bridge
        try:
            async with asyncio.timeout(_CLOSE_S):
                await bridge.get_connection().aclose()
        except self.failures:
            return

    async def _windows(self, plan: Plan, keys: list[tuple[str, str, str]]) -> list[Window]:
        return [await self._window(one, key) for one, key in zip(plan.counted, keys, strict=True)]

    async def _window(self, one: Counted, key: tuple[str, str, str]) -> Window:
        window_s = one.item.get_expiry()
        previous, fades_s, current, lives_s = await self._storage.get_sliding_window(
            one.item.key_for(*key), window_s
        )
        # The current count lives to the end of the next window; a first request begins one.
        left_s = lives_s - window_s if lives_s else fades_s or window_s
        left_us = round(min(max(left_s, 0), window_s) * SECOND_US)
        return Window(previous, current, left_us, one.window_us)

    async def _overtaken(
        self, plan: Plan, keys: list[tuple[str, str, str]], one: Counted
    ) -> Verdict:
        """Refuse what had room a moment ago: another request has taken the last of `one`."""
        verdict = judge(plan.amounts, await self._windows(plan, keys))
        return refusal(one.amount, 0) if verdict.allowed else verdict


def _options(store: LimitStore) -> dict[str, Any]:
    try:
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise StoreUnusable(
            "rate limits are to be counted in Redis, but its client is not installed: "
            "pip install 'strangler-proxy[redis]'"
        ) from None
    options: dict[str, Any] = {
        "socket_connect_timeout": store.timeout_s,
        "socket_timeout": store.timeout_s,
        # What was not answered may have been counted; and there is no time for a second try.
        "retry": Retry(NoBackoff(), 0),
    }
    if store.password_env is not None:
        password = os.environ.get(store.password_env)
        if not password:
            raise StoreUnusable(
                f"the password for Redis is to be in the environment variable "
                f"{store.password_env}, but that is not set"
            )
        options["password"] = password
    return options


def _located(url: str) -> tuple[str, str]:
    """The URL with its port, which `limits` insists on, and host:port."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    address = f"{host}:{parts.port or _PORT}"
    return urlunsplit(parts._replace(netloc=f"{user}{at}{address}")), address
