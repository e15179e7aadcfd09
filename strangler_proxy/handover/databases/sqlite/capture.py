"""Capture in SQLite: a row trigger for each operation, and guards for what REPLACE removes.

REPLACE removes the rows that clash with a new one without firing their delete triggers (unless
recursive_triggers is on). The guards run before and record every row that could clash; an entry
too many is harmless. DELETE without WHERE fires triggers as any other.
"""

from collections.abc import Iterator, Sequence

from strangler_proxy.handover.databases.fences import fence_table
from strangler_proxy.handover.databases.port import Session, Side
from strangler_proxy.handover.databases.sqlite.dialect import SqliteDialect
from strangler_proxy.handover.databases.triggers import Installed, Trigger
from strangler_proxy.handover.naming import change_table, is_trigger, mover_table, trigger

_SQL = SqliteDialect()


class SqliteCapture:
    """See triggers.CaptureSql."""

    transactional = True
    tells_writers = False

    def tables(self, move: str, home: str | None) -> Sequence[str]:
        """Numbers may be used again after their entry is gone: no entry is deleted unread."""
        # AUTOINCREMENT would leave the table sqlite_sequence behind for ever.
        return (
            f"CREATE TABLE IF NOT EXISTS {change_table(move)} (id INTEGER PRIMARY KEY, "
            "at REAL NOT NULL DEFAULT ((julianday('now') - 2440587.5) * 86400.0), "
            "tbl TEXT NOT NULL, row_key TEXT)",
            f"CREATE TABLE IF NOT EXISTS {mover_table(move)} (at_work INTEGER)",
        )

    def add_writers(self, session: Session, move: str, home: str | None) -> Sequence[str]:
        """A file has no users."""
        return ()

    def drop_tables(self, session: Session, move: str, home: str | None) -> Sequence[str]:
        """The change table, and the mark unless a fence needs it."""
        drops = [f"DROP TABLE IF EXISTS {change_table(move)}"]
        fence = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        if not session.rows(fence, (fence_table(move),)):
            drops.append(f"DROP TABLE IF EXISTS {mover_table(move)}")
        return drops

    def triggers(
        self, session: Session, move: str, home: str | None, sides: Sequence[Side]
    ) -> Sequence[Trigger]:
        """Three for each table, five where it has further unique keys."""
        return [made for side in sides for made in _of_table(move, side)]

    def installed(self, session: Session, move: str, home: str | None) -> Sequence[Installed]:
        """By the catalogue."""
        names = session.rows("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        return [
            Installed(name, True, (f"DROP TRIGGER IF EXISTS {_SQL.quote(name)}",))
            for (name,) in names
            if is_trigger(move, name)
        ]


def _of_table(move: str, side: Side) -> Iterator[Trigger]:
    new, old = (_entry(move, side, row) for row in ("NEW", "OLD"))
    moved = " OR ".join(
        f"OLD.{column} IS NOT NEW.{column} COLLATE BINARY"
        for column in (_SQL.quote(cell.name) for cell in side.key_cells)
    )
    new_key = _SQL.captured_key(side, "NEW")
    other = _insert(move, side, f"{new_key} WHERE {moved}")
    yield _trigger(move, side, "AFTER INSERT", "ins", new)
    yield _trigger(move, side, "AFTER DELETE", "del", old)
    yield _trigger(move, side, "AFTER UPDATE", "upd", f"{old} {other}")
    clash = _clashes(side)
    if clash:
        table = f"FROM {_SQL.table(side.table.name)} AS there"
        guard = _insert(move, side, f"{_SQL.captured_key(side, 'there')} {table} WHERE {clash}")
        yield _trigger(move, side, "BEFORE INSERT", "gin", guard)
        others = f"WHERE NOT ({_is_old(side)}) AND ({clash})"
        guard = _insert(move, side, f"{_SQL.captured_key(side, 'there')} {table} {others}")
        yield _trigger(move, side, "BEFORE UPDATE", "gup", guard)


def _clashes(side: Side) -> str:
    """Which rows a new one would replace, besides the one with the very same key."""
    keys = list(side.table.unique)
    merging = any(cell.column and cell.column.collation for cell in side.key_cells)
    if side.table.primary_key and (
        merging or {cell.name for cell in side.key_cells} != set(side.table.primary_key)
    ):
        keys.append(side.table.primary_key)
    own = {cell.name for cell in side.key_cells}
    return " OR ".join(
        "("
        + " AND ".join(f"there.{_SQL.quote(name)} = NEW.{_SQL.quote(name)}" for name in key)
        + ")"
        for key in keys
        if merging or set(key) != own
    )


def _is_old(side: Side) -> str:
    return " AND ".join(
        f"there.{column} IS OLD.{column} COLLATE BINARY"
        for column in (_SQL.quote(cell.name) for cell in side.key_cells)
    )


def _entry(move: str, side: Side, row: str) -> str:
    return _insert(move, side, _SQL.captured_key(side, row))


def _insert(move: str, side: Side, selected: str) -> str:
    table = _SQL.literal(str(side.table.name))
    return f"INSERT INTO {change_table(move)} (tbl, row_key) SELECT {table}, {selected};"


def _trigger(move: str, side: Side, when: str, event: str, body: str) -> Trigger:
    name = trigger(move, side.table.name, body, event)
    others = f"NOT EXISTS (SELECT 1 FROM {mover_table(move)})"  # noqa: S608
    return Trigger(
        name,
        side.table.name,
        (
            f"CREATE TRIGGER IF NOT EXISTS {name} {when} ON {_SQL.table(side.table.name)} "
            f"WHEN {others} BEGIN {body} END",
        ),
    )
