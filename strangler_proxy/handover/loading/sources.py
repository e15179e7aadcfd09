"""Pages out of a database as lines, by the fastest means that is exact.

A page is cut short where it grows heavier than `MOST_BYTES`; its rest comes with the next one.
"""

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from typing import Protocol

from strangler_proxy.handover.databases.conversion import reading, writing
from strangler_proxy.handover.databases.port import Cell, Dialect, Kind, Pair, Row, Session, Side
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.loading import compose_mysql, compose_sqlite, lines
from strangler_proxy.handover.loading.batch import Batch, shown
from strangler_proxy.handover.loading.fit import fits
from strangler_proxy.handover.loading.reach import asking
from strangler_proxy.handover.pages import MOST_BYTES

Batches = Generator[list[Row], None, None]
# Rows between two looks at their weight. Pages of many rows are those whose rows were light.
_AT_ONCE = (50, 200)


class Source(Protocol):
    """Where pages of one table come from."""

    def page(self, after: Row | None, rows: int) -> Batch:
        """At most so many rows behind this raw key, or from the beginning."""


def choose_source(session: Session, pair: Pair, target: Dialect) -> Source:
    """The fastest exact way to read this table."""
    by_rows = RowSource(session, pair, target)
    dialect = session.dialect
    if dialect.kind == "postgresql":
        unseen = all(dialect.read(cell).convert is None for cell in pair.source.cells)
        return CopySource(session, pair.source) if unseen and fits(pair) else by_rows
    if dialect.kind == "sqlite":
        line = compose_sqlite.line(pair)
    else:
        line = compose_mysql.line(pair, dialect)
    return ComposingSource(session, pair.source, line, by_rows) if line else by_rows


class CopySource:
    """PostgreSQL's COPY TO: the server writes lines by itself."""

    def __init__(self, session: Session, side: Side) -> None:
        self._session = session
        self._side = side

    def page(self, after: Row | None, rows: int) -> Batch:
        """Raw keys come out of the lines: no value here needs a conversion, so raw is neutral."""
        dialect = self._session.dialect
        sql = f"COPY ({dialect.page(self._side, after is not None, rows)}) TO STDOUT"
        parameters = dialect.page_parameters(after) if after is not None else ()
        started = time.monotonic()
        found: list[bytes] = []
        weight = 0
        with (
            asking(self._session),
            self._session.raw.cursor() as cursor,
            cursor.copy(sql, parameters) as copy,
        ):
            for line in copy:
                found.append(line)
                weight += len(line)
                if weight >= MOST_BYTES:
                    break  # leaving the block cancels the rest
        complete = len(found) < rows and weight < MOST_BYTES
        elapsed = time.monotonic() - started
        return Batch(found, lambda place: self._key(found[place]), complete, weight, elapsed)

    def _key(self, line: bytes) -> Row:
        texts = lines.fields(line)
        kinds = [cell.kind for cell in self._side.key_cells]
        return lines.values(kinds, [texts[place] for place in self._side.key])


class ComposingSource:
    """A SELECT of whole lines and raw keys; goes over to rows where a value is not as declared."""

    def __init__(self, session: Session, side: Side, line: str, by_rows: "RowSource") -> None:
        self._session = session
        cells = (Cell(Kind.BINARY, line, None), *side.key_cells)
        self._side = replace(side, cells=cells, key=tuple(range(1, len(cells))))
        self._by_rows = by_rows
        self._exact = True

    def page(self, after: Row | None, rows: int) -> Batch:
        """Composed lines, or what the port's conversions make of the same page."""
        if self._exact:
            batch = self._composed(after, rows)
            if batch is not None:
                return batch
            # What an application stored oddly once it did so often: asking twice costs double.
            self._exact = False
        return self._by_rows.page(after, rows)

    def _composed(self, after: Row | None, rows: int) -> Batch | None:
        started = time.monotonic()
        found: list[Row] = []
        whole: list[bytes] = []
        weight = 0
        with closing(_stream(self._session, self._side, after, rows)) as batches:
            for batch in batches:
                composed = [row[0] for row in batch]
                if None in composed:
                    return None
                whole += composed
                found += batch
                weight += sum(map(len, composed))
                if weight >= MOST_BYTES:
                    break
        complete = len(found) < rows and weight < MOST_BYTES
        elapsed = time.monotonic() - started
        return Batch(whole, lambda place: tuple(found[place][1:]), complete, weight, elapsed)


class RowSource:
    """Rows through the driver and the port's conversions, encoded here; says which value is odd."""

    def __init__(self, session: Session, pair: Pair, target: Dialect) -> None:
        self._session = session
        self._pair = pair
        self._kinds = [cell.kind for cell in pair.target.cells]
        self._read = reading(session.dialect, pair.source.cells)
        self._fit = writing(target, pair.target.cells)

    def page(self, after: Row | None, rows: int) -> Batch:
        """HandoverRefused names the row whose value is not of its kind or has no room."""
        started = time.monotonic()
        found: list[bytes] = []
        keys: list[Row] = []
        weight = 0
        with closing(_stream(self._session, self._pair.source, after, rows)) as batches:
            for batch in batches:
                encoded = self._encoded(batch)
                found += encoded
                keys += map(self._pair.source.key_of, batch)
                weight += sum(map(len, encoded))
                if weight >= MOST_BYTES:
                    break
        complete = len(found) < rows and weight < MOST_BYTES
        return Batch(found, keys.__getitem__, complete, weight, time.monotonic() - started)

    def _encoded(self, batch: Sequence[Row]) -> list[bytes]:
        try:
            neutral = self._read(batch)
            self._fit(neutral)  # for its refusals alone: lines are loaded unseen
            return lines.encode(self._kinds, neutral)
        except HandoverRefused as fault:
            if len(batch) > 1:
                return list(chain.from_iterable(self._encoded([row]) for row in batch))
            side = self._pair.source
            row = shown(side.key_of(batch[0]))
            raise HandoverRefused(f"table {side.table.name}, row {row}: {fault}") from fault


def _stream(
    session: Session, side: Side, after: Row | None, rows: int
) -> Generator[list[Row], None, None]:
    dialect = session.dialect
    parameters = dialect.page_parameters(after) if after is not None else ()
    least, most = _AT_ONCE
    at_once = min(max(rows // 20, least), most)
    with (
        session.snapshot(),
        closing(
            session.stream(dialect.page(side, after is not None, rows), parameters, at_once)
        ) as batches,
    ):
        yield from batches
