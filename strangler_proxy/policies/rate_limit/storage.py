"""The shared table as a storage of `limits`: its strategies work on it as on any other.

Only the sliding window counter does; what the other strategies need is not kept.
"""

import time
from collections.abc import Callable

from limits.storage import Storage
from limits.storage.base import SlidingWindowCounterSupport

from strangler_proxy.policies.rate_limit.shared_memory import MOST, Ask, SharedCounts
from strangler_proxy.policies.rate_limit.window import SECOND_US, used


class SharedMemoryStorage(SharedCounts, Storage, SlidingWindowCounterSupport):
    """SharedCounts under the names that `limits` knows."""

    STORAGE_SCHEME = None

    def __init__(
        self, size: int, fd: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        SharedCounts.__init__(self, size, fd, clock)
        Storage.__init__(self)
        self._keys = self.hasher(b"limits")

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What a failure raises: nothing that could be waited out."""
        return ()

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count `amount` if the limit has room for them."""
        if amount > limit:
            return False
        if limit > MOST:
            raise ValueError(f"a limit of {limit} is more than can be counted: {MOST} at most")
        window = self.take((self._ask(key, limit, expiry),), amount)[0]
        return used(window) + amount <= limit

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Counts and seconds to live of the window before and the current one."""
        window = self.look(self._ask(key, 0, expiry))
        left_s = window.left_us / SECOND_US
        return window.previous, left_s, window.current, left_s + expiry

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget a key."""
        self.clear(key)

    def clear(self, key: str) -> None:
        """Forget a key."""
        self.forget(self._ask(key, 0, 1).digest)

    def check(self) -> bool:
        """Memory is always there."""
        return True

    def reset(self) -> int | None:
        """Not provided: others count in the same memory."""
        raise NotImplementedError("counts are shared and expire by themselves; clear single keys")

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Not provided: for fixed windows."""
        raise NotImplementedError("only sliding windows are counted here")

    def get(self, key: str) -> int:
        """Not provided: for fixed windows."""
        raise NotImplementedError("only sliding windows are counted here")

    def get_expiry(self, key: str) -> float:
        """Not provided: for fixed windows."""
        raise NotImplementedError("only sliding windows are counted here")

    def _ask(self, key: str, limit: int, expiry: int) -> Ask:
        hasher = self._keys.copy()
        hasher.update(key.encode())
        return Ask(hasher.digest(), limit, expiry * SECOND_US)
