"""Carry captured changes to the target: each changed row as it is now at the source.

The law: entries and rows are read in one snapshot of the source; rows are written and committed at
the target; then exactly those entries are deleted at the source. Killed anywhere between, the same
entries are applied again, and applying a row's present state twice changes nothing.

A snapshot that has an entry also has what the entry tells of. Applying every entry of a snapshot
makes the target equal to the source as of that snapshot; where there are too many for one step,
that holds when the last of them is applied.

Only one tail may run for a move: `claim` is taken on the target's own connection, so a tail that
lost it cannot commit. It begins after the backfill.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from strangler_proxy.handover.capture import Entry
from strangler_proxy.handover.databases import conversion
from strangler_proxy.handover.databases.port import Dialect, Pair, Row, Session, Side
from strangler_proxy.handover.faults import Clash, HandoverRefused

_ENTRIES = 2_000
_KEYS_AT_ONCE = 200
_LARGEST = 1_000_000  # entries; a clash within fewer may be explained by those behind them


@dataclass(frozen=True, slots=True)
class Applied:
    """One step: entries consumed, rows written and deleted, and whether more entries wait."""

    entries: int = 0
    written: int = 0
    deleted: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class _Changes:
    """What the target's table must become: rows as they are now, keys of those that are gone."""

    side: Side
    rows: list[Row]
    gone: list[Row]


class Queue(Protocol):
    """Where a tail takes entries from; see capture.Capture."""

    def entries(self, session: Session, most: int) -> list[Entry]:
        """Changes that wait."""

    def forget(self, session: Session, entries: Sequence[Entry]) -> None:
        """These are applied."""


class Tail:
    """The tail of one move; both sessions are the mover's, and nobody else's meanwhile."""

    def __init__(
        self,
        move: str,
        pairs: Sequence[Pair],
        queue: Queue,
        source: Session,
        target: Session,
    ) -> None:
        self._pairs = {str(pair.source.table.name): pair for pair in pairs}
        self._queue = queue
        self._source = source
        self._target = target
        target.claim(f"{move} tail")

    def step(self, most: int = _ENTRIES) -> Applied:
        """Apply up to so many entries; nothing is done when none waits.

        Raises HandoverRefused for a truncated table and for rows that the target cannot take.
        """
        while True:
            entries, changes, more = self._read(most)
            if not entries:
                return Applied()
            try:
                self._apply(changes)
            except Clash as clash:
                if not more or most >= _LARGEST:
                    raise HandoverRefused(
                        f"the target cannot take a changed row: {clash}"
                    ) from clash
                # A row took over a unique value whose former owner changes in a later entry.
                most *= 4
                continue
            self._queue.forget(self._source, entries)
            written = sum(len(each.rows) for each in changes)
            deleted = sum(len(each.gone) for each in changes)
            return Applied(len(entries), written, deleted, more)

    def _read(self, most: int) -> tuple[list[Entry], list[_Changes], bool]:
        with self._source.snapshot():
            entries = self._queue.entries(self._source, most + 1)
            more = len(entries) > most
            entries = entries[:most]
            keys: dict[str, dict[Row, None]] = {name: {} for name in self._pairs}
            for entry in entries:
                if entry.table not in keys:
                    raise HandoverRefused(
                        f"changes of {entry.table} were captured, which this move has not: was "
                        "moves.yaml changed? remove the capture and start again"
                    )
                keys[entry.table][entry.key] = None
            changes = [
                self._changes(self._pairs[name], list(wanted))
                for name, wanted in keys.items()
                if wanted
            ]
        return entries, changes, more

    def _changes(self, pair: Pair, keys: list[Row]) -> _Changes:
        source, found = pair.source, {}
        for some in _parts(keys, _at_once(self._source.dialect, len(source.key))):
            sql = self._source.dialect.by_keys(source, len(some))
            for row in self._source.rows(sql, _flat(some)):
                # Where a collation takes two spellings for one, this may be a row not asked for;
                # it is as it is now, so it is right to write it.
                found[source.key_of(row)] = row
        neutral = conversion.reading(self._source.dialect, source.cells)
        neutral_key = conversion.reading(self._source.dialect, source.key_cells)
        gone = neutral_key(key for key in keys if key not in found)
        return _Changes(pair.target, neutral(found.values()), gone)

    def _apply(self, changes: Sequence[_Changes]) -> None:
        try:
            with self._target.transaction():
                self._write(changes)
        except Clash:
            if self._target.enforces_references:
                raise  # deleting a row that comes back would take its children along
            with self._target.transaction():
                self._make_room(changes)
                self._write(changes)

    def _write(self, changes: Sequence[_Changes]) -> None:
        # Without references: first what is gone, which may hold a unique value or another
        # spelling of a key that now is another row's. With them: parents first, children last.
        if not self._target.enforces_references:
            self._delete(changes)
        for each in changes:
            dialect = self._target.dialect
            rows = conversion.writing(dialect, each.side.cells)(each.rows)
            if rows:
                self._target.execute_many(dialect.upsert(each.side), rows)
        if self._target.enforces_references:
            self._delete(changes)

    def _delete(self, changes: Sequence[_Changes]) -> None:
        for each in reversed(changes):
            self._delete_keys(each.side, each.gone)

    def _make_room(self, changes: Sequence[_Changes]) -> None:
        """Take away the rows that are to be written: two may exchange a unique value."""
        for each in reversed(changes):
            self._delete_keys(each.side, [each.side.key_of(row) for row in each.rows])

    def _delete_keys(self, side: Side, keys: list[Row]) -> None:
        dialect = self._target.dialect
        written = conversion.writing(dialect, side.key_cells)(keys)
        for some in _parts(written, _at_once(dialect, len(side.key))):
            self._target.execute(dialect.delete(side, len(some)), _flat(some))


def _at_once(dialect: Dialect, columns: int) -> int:
    return max(1, min(_KEYS_AT_ONCE, dialect.most_parameters // columns))


def _parts(rows: list[Row], size: int) -> Iterator[list[Row]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _flat(rows: Sequence[Row]) -> list[object]:
    return [value for row in rows for value in row]
