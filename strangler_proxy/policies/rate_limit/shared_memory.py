"""Counts in memory that all workers of a proxy share: a hash table of fixed size in a mapping.

An entry is one caller at one limit. It is found by a keyed 128-bit digest, in a bucket of eight;
where a bucket is full, the entry that expires first makes room, and `dropped` counts it.

Each bucket has a lock, and every word of an entry is written by one store of 8 bytes, in an order
that makes an entry whole with its last word. A process killed at any moment therefore leaves
either the old count or the new one, and a place that is half taken matches nobody and expires.
Work without a lock (see locks.py) may lose a count, and breaks nothing else.
"""

import mmap
import os
import secrets
import struct
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from strangler_proxy.config import LimitStore
from strangler_proxy.policies.locks import ByteLocks
from strangler_proxy.policies.rate_limit.unusable import StoreUnusable
from strangler_proxy.policies.rate_limit.window import SECOND_US, Window, used

_ENTRY_BYTES = 64
_WAYS = 8
_BUCKET_BYTES = _ENTRY_BYTES * _WAYS
# The header holds the mark, then the key of the digests. The mark names this layout.
_HEADER_BYTES = _ENTRY_BYTES
_MARK = int.from_bytes(b"strglr01")
_KEY = slice(8, 24)
# Words of an entry: digest, digest, state, time of expiry in microseconds; the rest is spare.
# State: window number modulo 16 (4 bits), count of the window before, count of the current one.
_STATE, _EXPIRES = 2, 3
_COUNT_BITS = 30
_COUNT_MASK = (1 << _COUNT_BITS) - 1
_START_WAIT_S = 5.0


class Ask(NamedTuple):
    """One caller at one limit: who (16 bytes), how many, per what time."""

    digest: bytes
    amount: int
    window_us: int


class _Place(NamedTuple):
    at: int  # where the entry is in the mapping; -1: nowhere yet
    number: int  # of the current window
    window: Window


def shared_bytes(store: LimitStore) -> int:
    """The size of the mapping that the workers share: 64 bytes for an entry, and a header."""
    return _HEADER_BYTES + store.entries // _WAYS * _BUCKET_BYTES


class SharedCounts:
    """The table, for one process, whose threads must not share it.

    `fd`: a file of at least `shared_bytes` zero bytes, which stays the caller's (a memfd; its
    actual size is the table's size, the same for all). None: memory of this process alone.
    `clock`: seconds, the same in all processes; CLOCK_MONOTONIC is, on one machine.
    """

    def __init__(
        self, size: int, fd: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        if fd is not None:
            size = _checked_size(fd, size)
        self._locks = None if fd is None else ByteLocks(fd)
        self._buckets = (size - _HEADER_BYTES) // _BUCKET_BYTES
        self._map = mmap.mmap(
            -1 if fd is None else fd, _HEADER_BYTES + self._buckets * _BUCKET_BYTES
        )
        self._words = memoryview(self._map).cast("Q")
        self.dropped = 0
        self._key = self._agreed_key()

    @property
    def unlocked(self) -> int:
        """How often a count went on without its lock, because a stopped process held it."""
        return 0 if self._locks is None else self._locks.missed

    def hasher(self, limit: bytes) -> blake2b:
        """Where the digests of a limit's callers start: copy it, and update it by the caller.

        Keyed by a secret of this table: nobody can choose callers that fall into one bucket.
        """
        return blake2b(limit + b"\0", key=self._key, digest_size=16)

    def take(self, asks: Sequence[Ask]) -> list[Window]:
        """Count a request at every limit if all have room for it, at none otherwise.

        Returns the windows as they were before. All of it happens at one moment: a request that
        one limit refuses takes nothing from another.
        """
        bases = [self._base(ask.digest) for ask in asks]
        locked = self._lock(bases)
        try:
            # Read under the lock, so that no process comes with an older time than the last.
            now_us = int(self._clock() * SECOND_US)
            places = [self._find(ask, base, now_us) for ask, base in zip(asks, bases, strict=True)]
            if all(
                used(place.window) < ask.amount for ask, place in zip(asks, places, strict=True)
            ):
                self._count_all(asks, bases, places, now_us)
        finally:
            self._unlock(locked)
        return [place.window for place in places]

    def close(self) -> None:
        """Give the mapping back; the descriptor stays open."""
        self._words.release()
        self._map.close()

    def _base(self, digest: bytes) -> int:
        high: int = struct.unpack_from("=Q", digest)[0]
        return _HEADER_BYTES + high % self._buckets * _BUCKET_BYTES

    def _lock(self, bases: list[int]) -> Sequence[int]:
        if self._locks is None:
            return ()
        # In one order everywhere, so that two processes never wait for each other.
        wanted = bases if len(bases) == 1 else sorted(set(bases))
        return [base for base in wanted if self._locks.take(base)]

    def _unlock(self, locked: Sequence[int]) -> None:
        if self._locks is not None:
            for base in locked:
                self._locks.release(base)

    def _find(self, ask: Ask, base: int, now_us: int) -> _Place:
        number, passed_us = divmod(now_us, ask.window_us)
        left_us = ask.window_us - passed_us
        at = self._map.find(ask.digest, base, base + _BUCKET_BYTES)
        if at < 0 or at % _ENTRY_BYTES:
            return _Place(-1, number, Window(0, 0, left_us, ask.window_us))
        word = at >> 3
        state = self._words[word + _STATE]
        previous, current = state >> _COUNT_BITS & _COUNT_MASK, state & _COUNT_MASK
        age = number - (state >> 2 * _COUNT_BITS) & 15
        if self._words[word + _EXPIRES] <= now_us:
            previous, current = 0, 0
        elif age == 15:
            # The clock is behind the entry, by less than a window: stay at its window's start.
            number, left_us = number + 1, ask.window_us
        elif age == 1:
            previous, current = current, 0
        elif age:
            previous, current = 0, 0
        return _Place(at, number, Window(previous, current, left_us, ask.window_us))

    def _count_all(
        self,
        asks: Sequence[Ask],
        bases: list[int],
        places: list[_Place],
        now_us: int,
    ) -> None:
        # Those that have a place come first: room made for another could be that place.
        for new in (False, True):
            for ask, base, place in zip(asks, bases, places, strict=True):
                if (place.at < 0) is new:
                    self._count(ask, base, place, now_us)

    def _count(self, ask: Ask, base: int, place: _Place, now_us: int) -> None:
        number, window = place.number, place.window
        state = (number & 15) << 2 * _COUNT_BITS | window.previous << _COUNT_BITS
        state |= window.current + 1
        words, word = self._words, place.at >> 3
        if place.at < 0:
            word = self._room(base, now_us) >> 3
            words[word] = 0  # whoever was here is gone before anything else changes
        # Expiry first: between the two stores the old count is still read rightly.
        words[word + _EXPIRES] = (number + 2) * ask.window_us
        words[word + _STATE] = state
        if place.at < 0:
            high, low = struct.unpack("=QQ", ask.digest)
            words[word + 1] = low
            words[word] = high

    def _room(self, base: int, now_us: int) -> int:
        """The place in a bucket of the entry that expires first."""
        expiries = self._words[(base >> 3) + _EXPIRES : (base + _BUCKET_BYTES) >> 3 : 8].tolist()
        first = min(expiries)
        if first > now_us:
            self.dropped += 1
        return base + expiries.index(first) * _ENTRY_BYTES

    def _agreed_key(self) -> bytes:
        """The key that the first process has written; the mark says that it is whole."""
        locks = self._locks
        if locks is not None and not locks.take(0, _START_WAIT_S):
            raise StoreUnusable("the memory of the rate limits is locked by a stopped process")
        try:
            if self._words[0] != _MARK:
                self._map[_KEY] = secrets.token_bytes(16)
                self._words[0] = _MARK
            return self._map[_KEY]
        finally:
            if locks is not None:
                locks.release(0)


def _checked_size(fd: int, size: int) -> int:
    actual = os.fstat(fd).st_size
    if actual < _HEADER_BYTES + _BUCKET_BYTES:
        raise StoreUnusable(
            f"the memory that workers share for rate limits has {actual} bytes instead of {size}"
        )
    return actual
