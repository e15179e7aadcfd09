"""Fences in SQLite: a trigger before each operation. One connection writes at a time by itself.

Whoever has the write lock sees the newest row: a transaction that has read before, and whose
snapshot is older, is refused the lock by SQLite. REPLACE is refused as the INSERT that it is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from strangler_proxy.handover.databases.fences import (
    about_to_move,
    fence_table,
    fence_trigger,
    has_moved,
    is_fence_trigger,
)
from strangler_proxy.handover.databases.port import Session, Side
from strangler_proxy.handover.databases.sqlite.dialect import SqliteDialect
from strangler_proxy.handover.databases.triggers import Installed, Trigger
from strangler_proxy.handover.naming import change_table, mover_table

_SQL = SqliteDialect()
_NOW = "((julianday('now') - 2440587.5) * 86400.0)"


class SqliteFence:
    """See fences.FenceSql."""

    transactional = True
    now = _NOW

    def tables(self, move: str, home: str | None) -> Sequence[str]:
        """One table of one row, and the mover's mark, which capture makes as well."""
        return (
            f"CREATE TABLE IF NOT EXISTS {fence_table(move)} "
            "(id INTEGER PRIMARY KEY CHECK (id = 1), state TEXT NOT NULL, until REAL NOT NULL)",
            f"CREATE TABLE IF NOT EXISTS {mover_table(move)} (at_work INTEGER)",
        )

    def drop_tables(self, session: Session, move: str, home: str | None) -> Sequence[str]:
        """The fence table, and the mark unless capture needs it."""
        drops = [f"DROP TABLE IF EXISTS {fence_table(move)}"]
        if not _is_table(session, change_table(move)):
            drops.append(f"DROP TABLE IF EXISTS {mover_table(move)}")
        return drops

    def there(self, session: Session, move: str, home: str | None) -> bool:
        """By the catalogue."""
        return _is_table(session, fence_table(move))

    def triggers(
        self, session: Session, move: str, home: str | None, sides: Sequence[Side]
    ) -> Sequence[Trigger]:
        """Three for each table."""
        events = ("INSERT", "UPDATE", "DELETE")
        return [_trigger(move, side, event) for side in sides for event in events]

    def installed(self, session: Session, move: str, home: str | None) -> Sequence[Installed]:
        """By the catalogue; without the table of the mover's mark a trigger fails every writer."""
        names = session.rows("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        works = _is_table(session, mover_table(move))
        return [
            Installed(name, works, (f"DROP TRIGGER IF EXISTS {_SQL.quote(name)}",))
            for (name,) in names
            if is_fence_trigger(move, name)
        ]

    @contextmanager
    def alone(self, session: Session, move: str, home: str | None, wait_s: float) -> Iterator[None]:
        """Has the write lock."""
        before = session.scalar("PRAGMA busy_timeout")
        session.scalar(f"PRAGMA busy_timeout = {max(1, round(wait_s * 1000)):d}")
        try:
            with session.transaction():
                yield
        finally:
            session.scalar(f"PRAGMA busy_timeout = {before:d}")

    @contextmanager
    def aside(self, session: Session, move: str, home: str | None, wait_s: float) -> Iterator[None]:
        """Who writes is alone."""
        with self.alone(session, move, home, wait_s):
            yield


def _is_table(session: Session, name: str) -> bool:
    found = session.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,))
    return bool(found)


def _trigger(move: str, side: Side, event: str) -> Trigger:
    fence, table = fence_table(move), side.table.name
    about, gone = (_SQL.literal(say(move, table)) for say in (about_to_move, has_moved))
    state = f"(SELECT state FROM {fence} WHERE id = 1)"  # noqa: S608
    closed = (
        f"NOT EXISTS (SELECT 1 FROM {fence} WHERE id = 1 AND "  # noqa: S608
        f"(state = 'open' OR (state = 'up' AND until <= {_NOW})))"
    )
    others = f"NOT EXISTS (SELECT 1 FROM {mover_table(move)})"  # noqa: S608
    refusal = (
        f"SELECT CASE {state} WHEN 'up' THEN RAISE(ABORT, {about}) ELSE RAISE(ABORT, {gone}) END;"
    )
    definition = f"BEFORE {event} {closed} {others} {refusal}"
    name = fence_trigger(move, table, definition)
    return Trigger(
        name,
        table,
        (
            f"CREATE TRIGGER IF NOT EXISTS {name} BEFORE {event} ON {_SQL.table(table)} "
            f"WHEN {closed} AND {others} BEGIN {refusal} END",
        ),
    )
