"""What SQLite lacks: a digest, its sum, and sums by bucket, registered on one's own connection."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator

from strangler_proxy.handover.databases.canonical import SQLITE_FUNCTIONS
from strangler_proxy.handover.databases.port import Row
from strangler_proxy.handover.verify.bisect import BUCKETS

_md5 = hashlib.md5
_number = int.from_bytes


def digest(text: bytes) -> int:
    """The first 60 bits of MD5, as the statements of the other databases compute them."""
    return _number(_md5(text, usedforsecurity=False).digest()[:8], "big") >> 4


class _Total:
    """The sum of digests, as text: it outgrows SQLite's integers."""

    def __init__(self) -> None:
        self._sum = 0

    def step(self, text: bytes) -> None:
        self._sum += _number(_md5(text, usedforsecurity=False).digest()[:8], "big") >> 4

    def finalize(self) -> str:
        return str(self._sum)


class _Buckets:
    """Rows and sums of digests by bucket, as JSON; SQLite's GROUP BY would sort the whole table."""

    def __init__(self) -> None:
        self._rows = [0] * BUCKETS
        self._sums = [0] * BUCKETS

    def step(self, key: bytes, text: bytes) -> None:
        bucket = digest(key) % BUCKETS
        self._rows[bucket] += 1
        self._sums[bucket] += digest(text)

    def finalize(self) -> str:
        found = zip(range(BUCKETS), self._rows, self._sums, strict=True)
        return json.dumps([each for each in found if each[1]])


def parsed(rows: Iterable[Row]) -> Iterator[Row]:
    """Bucket, rows and sum, out of what strangler_buckets gives."""
    for (text,) in rows:
        yield from map(tuple, json.loads(text or "[]"))


def register(connection: sqlite3.Connection) -> None:
    """Give this connection all functions that statements for SQLite call."""
    for name, function in SQLITE_FUNCTIONS.items():
        connection.create_function(name, 1, function, deterministic=True)
    connection.create_function("strangler_digest", 1, digest, deterministic=True)
    # typeshed knows aggregates of integers only.
    connection.create_aggregate("strangler_sum", 1, _Total)  # type: ignore[arg-type]
    connection.create_aggregate("strangler_buckets", 2, _Buckets)  # type: ignore[arg-type]
