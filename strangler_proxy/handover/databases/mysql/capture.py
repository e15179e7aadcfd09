"""Capture in MySQL and MariaDB: a row trigger for each operation, and others for cascades.

What a foreign key deletes or changes fires no trigger here. So a table whose rows' going (or whose
keys' changing) reaches a moved table through foreign keys gets a trigger that records the rows of
the moved table before it happens. A path that comes back to a table on its way could be of any
length, and is refused. TRUNCATE fires nothing: it makes the table anew, as its fingerprint shows.

CREATE TRIGGER waits (metadata lock) for every transaction that has used the table, and those that
come later see the trigger: when it returns, no change is under way that it does not record.
"""

from collections.abc import Iterator, Mapping, Sequence

from strangler_proxy.handover.databases.mysql.dialect import MysqlDialect
from strangler_proxy.handover.databases.mysql.schema import foreign_keys
from strangler_proxy.handover.databases.port import ForeignKey, Session, Side, TableName
from strangler_proxy.handover.databases.triggers import Installed, Trigger
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.naming import change_table, is_trigger, trigger, writers_table

_SQL = MysqlDialect()
_ACTS = ("CASCADE", "SET NULL", "SET DEFAULT")
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
Step = tuple[TableName, ForeignKey]


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
        keys = _all_foreign_keys(session, {str(side.table.name.schema) for side in sides})
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


def _all_foreign_keys(
    session: Session, schemas: set[str]
) -> dict[TableName, tuple[ForeignKey, ...]]:
    """Those of these databases, and of every one that they lead to."""
    found: dict[TableName, tuple[ForeignKey, ...]] = {}
    known: set[str] = set()
    while unknown := schemas - known:
        for schema in unknown:
            found.update(foreign_keys(session.rows, schema))
        known |= unknown
        schemas = {str(key.to.schema) for keys in found.values() for key in keys}
    return found


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
    same = _same([cell.name for cell in side.key_cells])
    before, after = (_entry(move, home, side, f"SELECT {{}}, {key}") for key in (old, new))
    table = side.table.name
    yield _trigger(move, table, "AFTER INSERT", "ins", after)
    yield _trigger(move, table, "AFTER DELETE", "del", before)
    yield _trigger(
        move, table, "AFTER UPDATE", "upd", f"{before} IF NOT ({same}) THEN {after} END IF;"
    )


def _same(columns: Sequence[str]) -> str:
    """As bytes: a collation may take the old and the new value for one."""
    return " AND ".join(
        f"BINARY OLD.{column} <=> BINARY NEW.{column}" for column in map(_SQL.quote, columns)
    )


def _of_cascades(
    move: str, home: str | None, side: Side, keys: Mapping[TableName, Sequence[ForeignKey]]
) -> Iterator[Trigger]:
    for operation, event in (("DELETE", "cde"), ("UPDATE", "cup")):
        for path in _paths(side.table.name, keys, operation):
            reached = _reached(side, path)
            if operation == "UPDATE":
                reached += f" AND NOT ({_same(path[-1][1].to_columns)})"
            entry = _entry(move, home, side, f"SELECT {{}}, {reached}")
            yield _trigger(move, path[-1][1].to, f"BEFORE {operation}", event, entry)


def _paths(
    table: TableName, keys: Mapping[TableName, Sequence[ForeignKey]], operation: str
) -> Iterator[tuple[Step, ...]]:
    """Ways from a table up to one whose change reaches it, nearest step first.

    The nearest step may change rows in any way. Those behind it must cascade: rows that go, or
    whose own keys change, are what reaches further.
    """

    def climb(path: tuple[Step, ...], passed: tuple[TableName, ...]) -> Iterator[tuple[Step, ...]]:
        at = path[-1][1].to if path else table
        for key in keys.get(at, ()):
            action = key.on_delete if operation == "DELETE" else key.on_update
            unmoved = operation == "UPDATE" and path and not _meet(key, path[-1][1])
            if action not in (("CASCADE",) if path else _ACTS) or unmoved:
                continue
            on_way = (*passed, at) if action == "CASCADE" else passed
            if key.to in on_way:
                raise HandoverRefused(
                    f"{table}: ON {operation} CASCADE comes back to {key.to} on its way, and MySQL "
                    "fires no trigger for what a foreign key does: rows could change unseen"
                )
            yield (*path, (at, key))
            yield from climb((*path, (at, key)), on_way)

    yield from climb((), ())


def _meet(key: ForeignKey, below: ForeignKey) -> bool:
    """Whether what a cascade changes here is what the step below refers to."""
    return bool(set(key.columns) & set(below.to_columns))


def _reached(side: Side, path: Sequence[Step]) -> str:
    """Keys of the rows at the near end of a path that OLD, at its far end, reaches."""
    joins = [f"{_SQL.captured_key(side, 't0')} FROM {_SQL.table(side.table.name)} AS t0"]
    for place, (_, key) in enumerate(path[:-1], start=1):
        on = _equal(f"t{place - 1}", key.columns, f"t{place}", key.to_columns)
        joins.append(f"JOIN {_SQL.table(key.to)} AS t{place} ON {on}")
    last = path[-1][1]
    where = _equal(f"t{len(path) - 1}", last.columns, "OLD", last.to_columns)
    return f"{' '.join(joins)} WHERE {where}"


def _equal(one: str, columns: Sequence[str], other: str, to_columns: Sequence[str]) -> str:
    return " AND ".join(
        f"{one}.{_SQL.quote(column)} = {other}.{_SQL.quote(to)}"
        for column, to in zip(columns, to_columns, strict=True)
    )


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
