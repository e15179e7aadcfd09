"""Find the rows that differ by asking two sides for sums, ever smaller. Opens nothing by itself.

A part is a range of the key's first column, or some buckets of it; a bucket is decided by a digest
of the whole key. Ranges are cut at keys that one side finds, so they need an order that both sides
agree on; buckets need none. A range that cannot be cut, because its rows share the first column's
value, goes on in buckets.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from strangler_proxy.handover.databases.port import Row

T = TypeVar("T")
BUCKETS = 4096  # a power of two: some hundred rows each of a million
_WAYS = 8


@dataclass(frozen=True, slots=True)
class Part:
    """Rows whose first key column is at least `low` and less than `high` (neutral values; None:
    no bound), and whose key falls into one of `buckets` (None: into any).
    """

    low: Any = None
    high: Any = None
    buckets: tuple[int, ...] | None = None


class Sum(NamedTuple):
    """Of a part's rows: how many, and the sum of their digests."""

    rows: int
    digest: int


class Found(NamedTuple):
    """A row's digest, and its key as its own database spells it."""

    digest: int
    raw_key: Row


class Reader(Protocol):
    """One side of a pair, as it is asked."""

    def total(self, part: Part) -> Sum:
        """The sum of the part's rows."""

    def cut(self, part: Part, rows: int) -> Any:
        """A value of the first key column above `low` with about so many rows before it, or None.

        Neutral.
        """

    def by_bucket(self, part: Part) -> Mapping[int, Sum]:
        """The sums of the part's rows by bucket; empty buckets may be left out."""

    def found(self, part: Part) -> Mapping[Row, Found]:
        """The part's rows by neutral key."""


class Ask(Protocol):
    """Both sides of a pair, source first."""

    def both(self, question: Callable[[Reader], T]) -> tuple[T, T]:
        """Ask both at the same time."""

    def one(self, side: int, question: Callable[[Reader], T]) -> T:
        """Ask one: 0 the source, 1 the target."""


class Suspect(NamedTuple):
    """A row that differs by its digest, or is at one side only; raw keys where they are known."""

    key: Row
    raw_keys: tuple[Row | None, Row | None]


class Step(NamedTuple):
    """A part of the table that has been looked at, source rows counted once, and its suspects."""

    source_rows: int
    suspects: list[Suspect]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many rows to sum at once, below how many to read rows, how many to hold in memory."""

    chunk_rows: int = 65_536
    leaf_rows: int = 2_000
    held_rows: int = 65_536


def steps(ask: Ask, ordered: bool, cutter: int, sizes: Sizes) -> Iterator[Step]:
    """Look at the whole table. `cutter`: the side that finds cuts cheaper."""
    if not ordered:
        yield from _in_buckets(ask, Part(), sizes)
        return
    for part in _cut(ask, Part(), cutter, sizes.chunk_rows):
        source, target = _totals(ask, part)
        yield Step(source.rows, [])
        if source != target:
            yield from _uncounted(_halved(ask, part, (source, target), sizes))


def _halved(ask: Ask, part: Part, sums: tuple[Sum, Sum], sizes: Sizes) -> Iterator[Step]:
    rows = max(sums[0].rows, sums[1].rows)
    if rows <= sizes.leaf_rows:
        yield _compared(ask, part)
        return
    fuller = int(sums[1].rows > sums[0].rows)
    pieces = list(_cut(ask, part, fuller, max(rows // _WAYS, sizes.leaf_rows // 2, 1)))
    if len(pieces) == 1:
        yield from _in_buckets(ask, part, sizes)
        return
    for piece in pieces:
        source, target = _totals(ask, piece)
        if source != target:
            yield from _halved(ask, piece, (source, target), sizes)


def _cut(ask: Ask, part: Part, side: int, rows: int) -> Iterator[Part]:
    """The part in pieces of about so many rows of that side, in order and without gaps."""
    rest = part
    while True:
        at = ask.one(side, partial(_cut_of, rest, rows))
        if at is None:
            yield rest
            return
        if rest.low is not None and at <= rest.low:
            raise RuntimeError(f"a cut at {at!r} does not advance from {rest.low!r}")
        yield replace(rest, high=at)
        rest = replace(rest, low=at)


def _totals(ask: Ask, part: Part) -> tuple[Sum, Sum]:
    return ask.both(lambda reader: reader.total(part))


def _cut_of(part: Part, rows: int, reader: Reader) -> Any:
    return reader.cut(part, rows)


def _in_buckets(ask: Ask, part: Part, sizes: Sizes) -> Iterator[Step]:
    source, target = ask.both(lambda reader: reader.by_bucket(part))
    yield Step(sum(each.rows for each in source.values()), [])
    group: list[int] = []
    held = 0
    for bucket in sorted(source.keys() | target.keys()):
        one, other = source.get(bucket, Sum(0, 0)), target.get(bucket, Sum(0, 0))
        if one == other:
            continue
        rows = max(one.rows, other.rows)
        if group and held + rows > sizes.held_rows:
            yield _compared(ask, replace(part, buckets=tuple(group)))
            group, held = [], 0
        group.append(bucket)
        held += rows
    if group:
        yield _compared(ask, replace(part, buckets=tuple(group)))


def _compared(ask: Ask, part: Part) -> Step:
    source, target = ask.both(lambda reader: reader.found(part))
    suspects = []
    for key in source.keys() | target.keys():
        one, other = source.get(key), target.get(key)
        if one is None or other is None or one.digest != other.digest:
            raw_keys = (one.raw_key if one else None, other.raw_key if other else None)
            suspects.append(Suspect(key, raw_keys))
    return Step(0, suspects)


def _uncounted(inner: Iterator[Step]) -> Iterator[Step]:
    return (step._replace(source_rows=0) for step in inner)
