"""The text of a value and of a row as SQL, for each database. Pure."""

from collections.abc import Sequence

from strangler_proxy.handover.databases.canonical.mysql import mysql_text
from strangler_proxy.handover.databases.canonical.postgresql import postgresql_text
from strangler_proxy.handover.databases.canonical.spelling import FREE_KINDS, PLAIN, Spelling
from strangler_proxy.handover.databases.canonical.sqlite import sqlite_text
from strangler_proxy.handover.databases.port import Cell, DatabaseKind, Dialect

SESSION: dict[DatabaseKind, tuple[str, ...]] = {
    "postgresql": ("SET datestyle TO 'ISO'", "SET extra_float_digits TO 1"),
    "mysql": (),
    "sqlite": (),
}
"""Statements after which a session writes values as `value_sql` expects."""

_MOST_ARGUMENTS = 90  # PostgreSQL's functions take up to 100


def value_sql(dialect: Dialect, cell: Cell, spelling: Spelling = PLAIN) -> str:
    """SQL of the text of this cell's value, NULL for NULL; escaped as the cell is."""
    match dialect.kind:
        case "postgresql":
            return postgresql_text(dialect.read(cell).sql, cell, spelling)
        case "mysql":
            return mysql_text(cell, spelling)
        case "sqlite":
            return sqlite_text(dialect, cell, spelling)


def row_sql(dialect: Dialect, cells: Sequence[Cell], spellings: Sequence[Spelling]) -> str:
    """SQL of the text of a row of these cells, never NULL; in SQLite its bytes."""
    parts: list[str] = []
    for cell, spelling in zip(cells, spellings, strict=True):
        value = value_sql(dialect, cell, spelling)
        parts += _in_row(dialect.kind, value, free=cell.kind in FREE_KINDS)
    joined = _joined(dialect.kind, parts)
    return f"CAST({joined} AS BLOB)" if dialect.kind == "sqlite" else joined


def _in_row(database: DatabaseKind, value: str, *, free: bool) -> list[str]:
    if database == "postgresql":  # whose concat leaves NULL out
        return [f"octet_length({value})", "':'", value, "'|'"] if free else [value, "'|'"]
    if not free:
        return [f"ifnull({value}, '')", "'|'"]
    if database == "mysql":
        return [f"ifnull(concat(length({value}), ':', {value}), ':')", "'|'"]
    return [f"ifnull(length(CAST({value} AS BLOB)) || ':' || {value}, ':')", "'|'"]


def _joined(database: DatabaseKind, parts: Sequence[str]) -> str:
    """In groups of groups: PostgreSQL bounds the arguments, SQLite the depth of an expression."""
    if len(parts) > _MOST_ARGUMENTS:
        groups = range(0, len(parts), _MOST_ARGUMENTS)
        parts = [_joined(database, parts[at : at + _MOST_ARGUMENTS]) for at in groups]
        return _joined(database, parts)
    return f"({' || '.join(parts)})" if database == "sqlite" else f"concat({', '.join(parts)})"
