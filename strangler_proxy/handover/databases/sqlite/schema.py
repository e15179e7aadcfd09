"""SQLite's tables, as its own catalogue and pragmas describe them. Reads only."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from strangler_proxy.handover.databases.port import Column, ForeignKey, Kind, Row, Table, TableName
from strangler_proxy.handover.faults import HandoverRefused

Rows = Callable[[str, Sequence[Any]], list[Row]]
_LENGTH = re.compile(r"\(\s*\d+\s*,\s*(\d+)\s*\)")
_DECLARED: tuple[tuple[tuple[str, ...], tuple[Kind, ...]], ...] = (
    # The first line with a word in the declared type decides; SQLite itself reads types so.
    (("BOOL",), (Kind.BOOLEAN, Kind.INTEGER)),
    (("INT",), (Kind.INTEGER, Kind.BOOLEAN)),
    (("UUID", "GUID"), (Kind.UUID, Kind.TEXT)),
    (("JSON",), (Kind.JSON, Kind.TEXT)),
    (("DATETIME", "TIMESTAMP"), (Kind.TIMESTAMP, Kind.TEXT)),
    (("DATE",), (Kind.DATE, Kind.TEXT)),
    (("TIME",), (Kind.TIME, Kind.TEXT)),
    (
        ("CHAR", "CLOB", "TEXT", "STRING", "ENUM"),
        (
            Kind.TEXT,
            Kind.UUID,
            Kind.JSON,
            Kind.TIMESTAMP,
            Kind.DATE,
            Kind.TIME,
            Kind.DECIMAL,
        ),
    ),
    (("BLOB", "BINARY", "BYTEA"), (Kind.BINARY, Kind.UUID)),
    (("REAL", "FLOA", "DOUB"), (Kind.FLOAT, Kind.TIMESTAMP)),
    (("NUMERIC", "DECIMAL"), (Kind.DECIMAL, Kind.INTEGER)),
)


def kinds_of(declared: str) -> tuple[Kind, ...]:
    """What a column declared so can hold, the natural kind first."""
    upper = declared.upper()
    for words, kinds in _DECLARED:
        if any(word in upper for word in words):
            return kinds
    return ()


def describe(rows: Rows, name: TableName) -> Table:
    """The table as it is; HandoverRefused says what cannot be moved."""
    if name.schema not in (None, "main"):
        raise HandoverRefused(f"{name}: SQLite has no schemas: write {name.name}")
    found = rows("SELECT type, sql FROM sqlite_master WHERE name = ? COLLATE NOCASE", (name.name,))
    _refuse_what_is_no_table(name, found)
    columns = rows(
        'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)',
        (name.name,),
    )
    key = [column[0] for column in sorted(columns, key=lambda each: each[4]) if column[4]]
    alias = len(key) == 1 and any(
        column[4] and column[1].upper() == "INTEGER" for column in columns
    )
    collations = _key_collations(rows, name)
    return Table(
        TableName(None, name.name),
        tuple(_column(column, alias, collations) for column in columns if column[5] != 1),
        tuple(key),
        _unique(rows, name),
        _foreign_keys(rows, name),
    )


def _refuse_what_is_no_table(name: TableName, found: list[Row]) -> None:
    if not found:
        raise HandoverRefused(f"there is no table {name}")
    kind, sql = found[0]
    if kind != "table" or (sql or "").upper().lstrip().startswith("CREATE VIRTUAL"):
        raise HandoverRefused(f"{name} is no ordinary table, and its changes cannot be captured")


def _key_collations(rows: Rows, name: TableName) -> dict[str, str]:
    """Collations other than BINARY of columns in unique keys: there two texts may be one key."""
    return dict(
        rows(
            "SELECT x.name, x.coll FROM pragma_index_list(?) l, pragma_index_xinfo(l.name) x "
            "WHERE l.\"unique\" AND x.key AND x.name IS NOT NULL AND upper(x.coll) <> 'BINARY'",
            (name.name,),
        )
    )


def _column(row: Row, alias: bool, collations: dict[str, str]) -> Column:
    name, declared, not_null, default, key, hidden = row
    scale = _LENGTH.search(declared)
    row_id = bool(key and alias)
    return Column(
        name,
        declared.lower(),
        kinds_of(declared),
        nullable=not not_null and not row_id,
        generated=hidden in (2, 3),
        identity=row_id,
        scale=int(scale[1]) if scale else None,
        collation=collations.get(name),
        has_default=default is not None or row_id,
    )


def _unique(rows: Rows, name: TableName) -> tuple[tuple[str, ...], ...]:
    found = []
    for index, origin in rows(
        'SELECT name, origin FROM pragma_index_list(?) WHERE "unique" ORDER BY name', (name.name,)
    ):
        columns = rows("SELECT name FROM pragma_index_info(?) ORDER BY seqno", (index,))
        if any(column is None for (column,) in columns):
            # REPLACE removes the row that clashes without firing its triggers.
            raise HandoverRefused(
                f"{name} has a unique index over an expression ({index}): a row that it makes "
                "REPLACE remove could not be captured"
            )
        if origin != "pk":
            found.append(tuple(column for (column,) in columns))
    return tuple(found)


def _foreign_keys(rows: Rows, name: TableName) -> tuple[ForeignKey, ...]:
    keys: dict[int, list[Row]] = {}
    for row in rows(
        'SELECT id, "table", "from", "to", on_delete, on_update FROM pragma_foreign_key_list(?) '
        "ORDER BY id, seq",
        (name.name,),
    ):
        keys.setdefault(row[0], []).append(row)
    return tuple(_foreign_key(rows, parts) for parts in keys.values())


def _foreign_key(rows: Rows, parts: list[Row]) -> ForeignKey:
    to = parts[0][1]
    to_columns = tuple(part[3] for part in parts)
    if None in to_columns:  # REFERENCES parent, without columns: its primary key
        key = rows("SELECT name FROM pragma_table_xinfo(?) WHERE pk ORDER BY pk", (to,))
        to_columns = tuple(column for (column,) in key)
    return ForeignKey(
        tuple(part[2] for part in parts), TableName(None, to), to_columns, *parts[0][4:]
    )
