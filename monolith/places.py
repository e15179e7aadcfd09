"""Places for a few at once: for what costs much, or may hold a thread for long.

The monolith has a copy of this file, as it imports the chassis only from its seams.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class NoPlaceError(Exception):
    """All places were taken, for as long as one waits for them."""


class Places:
    """So many, for the threads of this process; who finds none waits `wait_s` seconds at most."""

    def __init__(self, number: int, wait_s: float = 0.0) -> None:
        self._free = threading.BoundedSemaphore(number)
        self._wait_s = wait_s

    @contextmanager
    def one(self) -> Iterator[None]:
        """Have one while the block runs. Raises NoPlaceError when none gets free in time."""
        if not self._free.acquire(timeout=self._wait_s):
            raise NoPlaceError
        try:
            yield
        finally:
            self._free.release()
