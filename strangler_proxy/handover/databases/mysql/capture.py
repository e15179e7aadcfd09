"""Capture in MySQL and MariaDB: a row trigger for each operation, and others for cascades.

What a foreign key deletes or changes fires no trigger here. So a table whose rows' going (or whose
keys' changing) reaches a moved table through foreign keys gets a trigger that records the rows of
the moved table before it happens (cascades.py). TRUNCATE fires nothing: it makes the table anew, as
its fingerprint shows.

CREATE TRIGGER waits (metadata lock), or is tried again, until no transaction goes on that has used
the table, and those that come later see the trigger: when it returns, no change is under way that
it does not record.
"""

from collections.abc import Iterator, Mapping, Sequence

from strangler_proxy.handover.databases.mysql.cascades import (
    all_foreign_keys,
    paths,
    rows_reached,
    unchanged,
)
from strangler_proxy.handover.databases.mysql.dialect import MysqlDialect
from strangler_proxy.handover.databases.port import ForeignKey, Session, Side, TableName
from strangler_proxy.handover.databases.triggers import Installed, Trigger
from strangler_proxy.handover.naming import change_table, is_trigger, trigger, writers_table

_SQL = MysqlDialect()
_WRITER = "VARCHAR(400) DEFAULT (LEFT(USER(), 400))"  # never too long for its column
# MariaDB spells no default as one of 'NULL'.
_COLUMNS = """
SELECT column_name, INSTR(LOWER(column_default), 'user(') FROM information_schema.columns
WHERE table_schema = %s AND table_name = %s
"""
_OPTIONS = "ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
_TRIGGERS = """
SELECT trigger_schema, trigger_name FROM information_schema.triggers
WHERE trigger_name LIKE 'strangler%%' AND INSTR(action_statement, %s) > 0
"""


class MysqlCapture:
    """See triggers.CaptureSql."""

    transactional = False
    tells_writers = True

    def tables(self, move: str, home: str | None) -> Sequence[str]:
        """Numbers are given before the commit: a low one may be committed late."""
        return (
            f"CREATE TABLE IF NOT EXISTS {_in(home, change_table(move))} "
            "(id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, "
            "at DOUBLE NOT NULL DEFAULT (UNIX_TIMESTAMP(NOW(6))), "
            f"tbl VARCHAR(200) NOT NULL, row_key LONGTEXT, writer {_WRITER}) {_OPTIONS}",
            _writers(move, home),
        )

    def add_writers(self, session: Session, move: str, home: str | None) -> Sequence[str]:
        """The default comes last: it is not for the entries that are there, and without it this is
        done again.
        """
        rows = session.rows(_COLUMNS, (home, change_table(move)))
        columns: dict[str, int | None] = dict(rows)
        if not columns or columns.get("writer"):
            return ()
        changes = f"ALTER TABLE {_in(home, change_table(move))}"
        add = () if "writer" in columns else (f"{changes} ADD COLUMN writer VARCHAR(400)",)
        return (_writers(move, home), *add, f"{changes} MODIFY COLUMN writer {_WRITER}")

    def drop_tables(self, session: Session, move: str, home: str | None) -> Sequence[str]:
        """The change table, and who wrote."""
        return tuple(
            f"DROP TABLE IF EXISTS {_in(home, name)}"
            for name in (change_table(move), writers_table(move))
        )

    def triggers(
        self, session: Session, move: str, home: str | None, sides: Sequence[Side]
    ) -> Sequence[Trigger]:
        """Three for each table, and those that cascades need."""
        keys = all_foreign_keys(session, {str(side.table.name.schema) for side in sides})
        made = [each for side in sides for each in _of_table(move, home, side)]
        for side in sides:
            made += _of_cascades(move, home, side, keys)
        return made

    def installed(self, session: Session, move: str, home: str | None) -> Sequence[Installed]:
        """Those that write to this change table: other databases may have a move of this name."""
        changes = _in(home, change_table(move)).replace("%%", "%")
        return [
            Installed(name, True, (f"DROP TRIGGER IF EXISTS {_in(schema, name)}",))
            for schema, name in session.rows(_TRIGGERS, (f"INTO {changes} ",))
            if is_trigger(move, name)
        ]


def _in(schema: str | None, name: str) -> str:
    return f"{_SQL.quote(schema)}.{_SQL.quote(name)}" if schema else _SQL.quote(name)


def _writers(move: str, home: str | None) -> str:
    return (
        f"CREATE TABLE IF NOT EXISTS {_in(home, writers_table(move))} "
        "(writer VARCHAR(400) NOT NULL PRIMARY KEY, changes BIGINT NOT NULL, "
        f"first_seen DOUBLE NOT NULL, last_seen DOUBLE NOT NULL) {_OPTIONS}"
    )


def _of_table(move: str, home: str | None, side: Side) -> Iterator[Trigger]:
    new, old = (_SQL.captured_key(side, row) for row in ("NEW", "OLD"))
    same = unchanged([cell.name for cell in side.key_cells])
    before, after = (_entry(move, home, side, f"SELECT {{}}, {key}") for key in (old, new))
    table = side.table.name
    yield _trigger(move, table, "AFTER INSERT", "ins", after)
    yield _trigger(move, table, "AFTER DELETE", "del", before)
    yield _trigger(
        move, table, "AFTER UPDATE", "upd", f"{before} IF NOT ({same}) THEN {after} END IF;"
    )


def _of_cascades(
    move: str, home: str | None, side: Side, keys: Mapping[TableName, Sequence[ForeignKey]]
) -> Iterator[Trigger]:
    for operation, event in (("DELETE", "cde"), ("UPDATE", "cup")):
        for path in paths(side.table.name, keys, operation):
            reached = rows_reached(side, path, operation)
            entry = _entry(move, home, side, f"SELECT {{}}, {reached}")
            yield _trigger(move, path[-1][1].to, f"BEFORE {operation}", event, entry)


def _entry(move: str, home: str | None, side: Side, select: str) -> str:
    table = _SQL.literal(str(side.table.name))
    rows = select.replace("{}", table, 1)
    return f"INSERT INTO {_in(home, change_table(move))} (tbl, row_key) {rows};"


def _trigger(move: str, table: TableName, when: str, event: str, body: str) -> Trigger:
    name = trigger(move, table, body, event)
    return Trigger(
        name,
        table,
        (
            f"CREATE TRIGGER {_in(table.schema, name)} {when} "
            f"ON {_SQL.table(table)} FOR EACH ROW "
            f"IF NOT (@strangler_mover <=> {_SQL.literal(move)}) THEN {body} END IF",
        ),
    )
