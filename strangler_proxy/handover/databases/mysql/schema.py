"""Tables of MySQL and MariaDB, as information_schema describes them. Reads only."""

from collections.abc import Callable, Sequence
from typing import Any

from strangler_proxy.handover.databases.port import Column, ForeignKey, Kind, Row, Table, TableName
from strangler_proxy.handover.faults import HandoverRefused

Rows = Callable[[str, Sequence[Any]], list[Row]]

_INTEGERS = ("tinyint", "smallint", "mediumint", "int", "bigint", "year")
_TEXTS = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext")
_BYTES = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
_KINDS: dict[str, tuple[Kind, ...]] = {
    **dict.fromkeys(_INTEGERS, (Kind.INTEGER,)),
    **dict.fromkeys(_TEXTS, (Kind.TEXT, Kind.UUID, Kind.JSON)),
    **dict.fromkeys(_BYTES, (Kind.BINARY, Kind.UUID)),
    "decimal": (Kind.DECIMAL, Kind.INTEGER),
    "float": (Kind.FLOAT,),
    "double": (Kind.FLOAT,),
    "enum": (Kind.TEXT,),
    "set": (Kind.TEXT,),
    "uuid": (Kind.UUID,),
    "json": (Kind.JSON, Kind.TEXT),
    "datetime": (Kind.TIMESTAMP,),
    "timestamp": (Kind.TIMESTAMP,),
    "date": (Kind.DATE,),
    "time": (Kind.TIME,),
}

_TABLE = """
SELECT table_schema, table_name, table_type, engine, create_options
FROM information_schema.tables
WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s
"""
_COLUMNS = """
SELECT column_name, data_type, column_type, is_nullable, generation_expression, extra,
       numeric_scale, datetime_precision, collation_name, column_default
FROM information_schema.columns WHERE table_schema = %s AND table_name = %s
ORDER BY ordinal_position
"""
_KEYS = """
SELECT index_name, column_name, sub_part FROM information_schema.statistics
WHERE table_schema = %s AND table_name = %s AND non_unique = 0 ORDER BY index_name, seq_in_index
"""
FOREIGN_KEYS = """
SELECT k.constraint_schema, k.table_name, k.constraint_name, k.column_name,
       k.referenced_table_schema, k.referenced_table_name, k.referenced_column_name,
       r.delete_rule, r.update_rule
FROM information_schema.key_column_usage k
JOIN information_schema.referential_constraints r
  ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name
  AND r.table_name = k.table_name
WHERE k.referenced_table_name IS NOT NULL AND k.table_schema = %s
ORDER BY k.table_name, k.constraint_name, k.ordinal_position
"""


def describe(rows: Rows, name: TableName) -> Table:
    """The table as it is; HandoverRefused says what cannot be moved."""
    found = rows(_TABLE, (name.schema, name.name))
    if not found:
        raise HandoverRefused(f"there is no table {name}")
    schema, spelled, kind, engine, options = found[0]
    if kind != "BASE TABLE" or "partitioned" in (options or "").lower():
        raise HandoverRefused(
            f"{name} is no ordinary table (a view, or partitioned): its changes cannot be captured"
        )
    if engine != "InnoDB":
        raise HandoverRefused(
            f"{name} is kept by {engine}, which has no transactions: "
            f"ALTER TABLE {name} ENGINE=InnoDB first"
        )
    where = (schema, spelled)
    keys: dict[str, list[str | None]] = {}
    for index, column, part in rows(_KEYS, where):
        # An index over an expression or the beginning of a column names no row by itself.
        keys.setdefault(index, []).append(None if part else column)
    whole = {index: tuple(map(str, key)) for index, key in keys.items() if None not in key}
    return Table(
        TableName(schema, spelled),
        tuple(_column(row) for row in rows(_COLUMNS, where)),
        whole.pop("PRIMARY", ()),
        tuple(whole.values()),
        foreign_keys(rows, schema).get(TableName(schema, spelled), ()),
    )


def foreign_keys(rows: Rows, schema: str) -> dict[TableName, tuple[ForeignKey, ...]]:
    """Every foreign key of tables in this database, by the table that has it."""
    parts: dict[tuple[TableName, str], list[Row]] = {}
    for row in rows(FOREIGN_KEYS, (schema,)):
        parts.setdefault((TableName(row[0], row[1]), row[2]), []).append(row)
    found: dict[TableName, tuple[ForeignKey, ...]] = {}
    for (table, _), columns in parts.items():
        key = ForeignKey(
            tuple(column[3] for column in columns),
            TableName(columns[0][4], columns[0][5]),
            tuple(column[6] for column in columns),
            *columns[0][7:],
        )
        found[table] = (*found.get(table, ()), key)
    return found


def _column(row: Row) -> Column:
    name, kind, declared, nullable, expression, extra, digits, fraction, collation, default = row
    extra = extra or ""
    return Column(
        name,
        declared,
        _kinds(kind, declared),
        nullable=nullable == "YES",
        generated=bool(expression),
        identity="auto_increment" in extra,
        scale=digits if kind == "decimal" else fraction,
        collation=collation,
        has_default=default not in (None, "NULL") or "auto_increment" in extra,
    )


def _kinds(kind: str, declared: str) -> tuple[Kind, ...]:
    if declared in ("tinyint(1)", "bit(1)"):
        return (Kind.BOOLEAN, Kind.INTEGER) if kind == "tinyint" else (Kind.BOOLEAN,)
    return _KINDS.get(kind, ())
