"""Counts in windows of time, by key: in this process, or in a Redis that all processes share."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from limits import RateLimitItem
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter

log = logging.getLogger(__name__)

STORE_TIMEOUT_S = 0.5
# How long a Redis that has failed is left alone: one that hangs costs every count a time-out.
RESPITE_S = 2.0
T = TypeVar("T")


class Counts:
    """Counts in this process, or in the Redis at `store_url`.

    A window ends by itself, however much is counted in it. While Redis is away this process counts
    by itself, and asks it again every `RESPITE_S` of the `clock`, which is monotonic.
    """

    def __init__(
        self, store_url: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._asks_from = -math.inf
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._one_at_a_time = threading.Lock()
        self._shared = None if store_url is None else FixedWindowRateLimiter(_redis(store_url))
        self._away = False

    def hit(self, item: RateLimitItem, key: str) -> int:
        """Count one; 0 if it is within the limit, else the seconds until the window ends."""
        return self._asked(partial(_wait_s, item=item, key=key))

    def give_back(self, item: RateLimitItem, key: str) -> None:
        """Count one less."""
        self._asked(partial(_give_back, item=item, key=key))

    def clear(self, item: RateLimitItem, key: str) -> None:
        """Begin at nothing."""
        self._asked(partial(_clear, item=item, key=key))

    def _asked(self, act: Callable[[FixedWindowRateLimiter], T]) -> T:
        if self._shared is not None and self._clock() >= self._asks_from:
            try:
                done = act(self._shared)
            except StorageError as error:
                self._asks_from = self._clock() + RESPITE_S
                self._tell_away(True, str(error))
            else:
                self._tell_away(False)
                return done
        # The storage forgets a count that another thread is just beginning.
        with self._one_at_a_time:
            return act(self._own)

    def _tell_away(self, away: bool, why: str = "") -> None:
        if away and not self._away:
            log.warning("Tries are counted by each process alone, RATE_LIMIT_URL fails: %s", why)
        elif self._away and not away:
            log.info("Tries are counted by all processes together again")
        self._away = away


def _wait_s(limiter: FixedWindowRateLimiter, item: RateLimitItem, key: str) -> int:
    if limiter.hit(item, key):
        return 0
    return max(1, math.ceil(limiter.get_window_stats(item, key).reset_time - time.time()))


def _give_back(limiter: FixedWindowRateLimiter, item: RateLimitItem, key: str) -> None:
    # If its window is over by now, the next one has room for one more.
    limiter.storage.incr(item.key_for(key), item.get_expiry(), amount=-1)


def _clear(limiter: FixedWindowRateLimiter, item: RateLimitItem, key: str) -> None:
    limiter.clear(item, key)


def _redis(url: str) -> RedisStorage:
    """Connects to nothing yet."""
    return RedisStorage(
        url,
        wrap_exceptions=True,
        socket_timeout=STORE_TIMEOUT_S,
        socket_connect_timeout=STORE_TIMEOUT_S,
    )
