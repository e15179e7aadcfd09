"""Verify the tables of a move, whole or by key; the package says what this cannot see."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from strangler_proxy.handover.databases.conversion import reading
from strangler_proxy.handover.databases.port import Database, Pair, Row, TableName
from strangler_proxy.handover.verify.bisect import Sizes, Suspect, steps
from strangler_proxy.handover.verify.recheck import Patience, Pending, Tail, settle
from strangler_proxy.handover.verify.report import Difference, Report
from strangler_proxy.handover.verify.sides import Asked, Sides
from strangler_proxy.handover.verify.statements import ordered

Progress = Callable[[TableName, int], None]
"""Told of a source table and how many of its rows have been looked at, after each chunk."""

_DOUBTED = 100  # suspects whose values are held at once
_CUTS_CHEAPLY = (
    "postgresql",
    "sqlite",
    "mysql",
)  # by an index alone, by a narrow tree, by the rows


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a verification.

    `listed` differences are kept in the report; at `most` it ends. A row that changes explain is
    looked at `looks` times, `pause_s` apart where there is no tail to run.
    """

    listed: int = 100
    most: int = 10_000
    looks: int = 8
    pause_s: float = 0.25
    statement_s: float = 3600.0
    sizes: Sizes = field(default_factory=Sizes)


@dataclass(slots=True)
class Tally:
    """What a verification has looked at and found so far."""

    limits: Limits
    began: float
    chunks: int = 0
    suspects: int = 0
    rows: Counter[TableName] = field(default_factory=Counter)
    kept: list[Difference] = field(default_factory=list)
    total: int = 0
    stale: int = 0

    def add(self, found: Sequence[Difference]) -> None:
        """These differ; the first `listed` are kept."""
        self.kept += found[: self.limits.listed - len(self.kept)]
        self.total += len(found)
        self.stale += sum(difference.stale for difference in found)

    @property
    def full(self) -> bool:
        """Whether so many differ that nobody wants to know of more."""
        return self.total >= self.limits.most

    def report(self) -> Report:
        """All of it."""
        return Report(
            rows=self.rows.total(),
            chunks=self.chunks,
            differences=tuple(self.kept),
            total=self.total,
            stale=self.stale,
            rechecked=max(0, self.suspects - self.total),
            complete=not self.full,
            seconds=time.monotonic() - self.began,
            table_rows=dict(self.rows),
        )


class Verifier:
    """Sessions on both sides, open for as many verifications as are wanted."""

    def __init__(self, source: Database, target: Database, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._source = source
        self._kinds = source.dialect.kind, target.dialect.kind
        self._sides = Sides(source, target, self.limits.statement_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._sides.close()

    def verify(
        self,
        pairs: Sequence[Pair],
        *,
        pending: Pending | None = None,
        tail: Tail | None = None,
        progress: Progress | None = None,
    ) -> Report:
        """Read both sides whole; rows found to differ while `pending` or `tail` are at work are
        looked at again as recheck says.
        """
        tally, patience = self._begun(), self._patience(pending, tail)
        for pair in pairs:
            asked = self._sides.of(pair)
            for some in self._suspects(pair, asked, tally, progress):
                tally.add(settle(pair, asked, some, patience))
                if tally.full:
                    return tally.report()
        return tally.report()

    def verify_keys(
        self,
        changed: Sequence[tuple[Pair, Sequence[Row]]],
        *,
        pending: Pending | None = None,
        tail: Tail | None = None,
    ) -> Report:
        """Compare the rows of these raw source keys, as `keys.decode` gives them.

        Keys may repeat; a row that is at neither side agrees.
        """
        named = [(pair, self._named(pair, raw_keys)) for pair, raw_keys in changed]
        return self.verify_rows(named, pending=pending, tail=tail)

    def verify_rows(
        self,
        named: Sequence[tuple[Pair, Sequence[Suspect]]],
        *,
        pending: Pending | None = None,
        tail: Tail | None = None,
    ) -> Report:
        """Compare these rows by their digests, and those that differ value by value."""
        tally, patience = self._begun(), self._patience(pending, tail)
        for pair, rows in named:
            asked = self._sides.of(pair)
            tally.rows[pair.source.table.name] += len(rows)
            tally.chunks += 1
            for some in _some(asked.unlike(rows)):
                tally.suspects += len(some)
                tally.add(settle(pair, asked, some, patience))
                if tally.full:
                    return tally.report()
        return tally.report()

    def _suspects(
        self, pair: Pair, asked: Asked, tally: Tally, progress: Progress | None
    ) -> Iterator[list[Suspect]]:
        name, (one, other) = pair.source.table.name, self._kinds
        cutter = int(_CUTS_CHEAPLY.index(other) < _CUTS_CHEAPLY.index(one))
        in_order = ordered(pair, self._kinds)
        for step in steps(asked, in_order, cutter, self.limits.sizes):
            tally.chunks += 1
            tally.rows[name] += step.source_rows
            if progress and step.source_rows:
                progress(name, step.source_rows)
            for some in _some(step.suspects):
                tally.suspects += len(some)
                yield some

    def _named(self, pair: Pair, raw_keys: Sequence[Row]) -> list[Suspect]:
        neutral = reading(self._source.dialect, pair.source.key_cells)(raw_keys)
        named = dict(zip(neutral, raw_keys, strict=True))
        return [Suspect(key, (tuple(raw), None)) for key, raw in named.items()]

    def _begun(self) -> Tally:
        return Tally(self.limits, time.monotonic())

    def _patience(self, pending: Pending | None, tail: Tail | None) -> Patience:
        return Patience(pending, tail, self.limits.looks, self.limits.pause_s, time.sleep)


def verify(
    pairs: Sequence[Pair],
    source: Database,
    target: Database,
    *,
    limits: Limits | None = None,
    pending: Pending | None = None,
    tail: Tail | None = None,
    progress: Progress | None = None,
) -> Report:
    """Verify once, by connections of its own; see Verifier.verify."""
    with Verifier(source, target, limits) as verifier:
        return verifier.verify(pairs, pending=pending, tail=tail, progress=progress)


def _some(suspects: Sequence[Suspect]) -> Iterator[list[Suspect]]:
    for at in range(0, len(suspects), _DOUBTED):
        yield list(suspects[at : at + _DOUBTED])
