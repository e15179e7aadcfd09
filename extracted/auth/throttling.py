"""How often it may be tried to log in to one account: from one client, and from all together.

Counted by what was typed as the address of an account, so that one that does not exist is limited
like any other. Every try counts before its password is looked at, and a login that succeeds ends
the count. A window ends by itself, however many tries it has refused: nobody is locked out for
longer, and the limit for one client is reached before that for all, so that somebody who guesses
from one place does not shut the owner out.
"""

from __future__ import annotations

import hashlib
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

from extracted.auth.clients import counted_as
from extracted.auth.service import TooManyLoginsError

log = logging.getLogger(__name__)

STORE_TIMEOUT_S = 0.5
T = TypeVar("T")


class LoginThrottle:
    """See `service.LoginLimit`. Counts in this process, or in the Redis at `store_url`.

    While Redis is away this process counts by itself.
    """

    def __init__(
        self, from_client: RateLimitItem, from_all: RateLimitItem, store_url: str | None = None
    ) -> None:
        self._from_client = from_client
        self._from_all = from_all
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._one_at_a_time = threading.Lock()
        self._shared = None if store_url is None else FixedWindowRateLimiter(_redis(store_url))
        self._away = False

    def admit(self, email: str, client: str) -> None:
        """See `service.LoginLimit`."""
        for item, key in self._counts(email, client):
            wait_s = self._asked(partial(_wait_s, item=item, key=key))
            if wait_s:
                raise TooManyLoginsError(wait_s)

    def forget(self, email: str, client: str) -> None:
        """See `service.LoginLimit`."""
        for item, key in self._counts(email, client):
            self._asked(partial(_clear, item=item, key=key))

    def _counts(self, email: str, client: str) -> tuple[tuple[RateLimitItem, str], ...]:
        # Digests: the store is to keep no addresses of people.
        account = hashlib.sha256(email.encode("utf-8", "surrogatepass")).hexdigest()
        return (
            (self._from_client, f"client/{counted_as(client)}/{account}"),
            (self._from_all, f"all/{account}"),
        )

    def _asked(self, act: Callable[[FixedWindowRateLimiter], T]) -> T:
        if self._shared is not None:
            try:
                done = act(self._shared)
            except StorageError as error:
                self._tell_away(True, str(error))
            else:
                self._tell_away(False)
                return done
        # The storage forgets a count that another thread is just beginning.
        with self._one_at_a_time:
            return act(self._own)

    def _tell_away(self, away: bool, why: str = "") -> None:
        if away and not self._away:
            log.warning("Logins are counted by each process alone, RATE_LIMIT_URL fails: %s", why)
        elif self._away and not away:
            log.info("Logins are counted by all processes together again")
        self._away = away


def _wait_s(limiter: FixedWindowRateLimiter, item: RateLimitItem, key: str) -> int:
    """Count one; 0 if it is within the limit, else the seconds until the window ends."""
    if limiter.hit(item, key):
        return 0
    return max(1, math.ceil(limiter.get_window_stats(item, key).reset_time - time.time()))


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
