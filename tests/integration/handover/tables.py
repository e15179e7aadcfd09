"""Tables that moves are tried on, in each database's own words."""

from __future__ import annotations

import uuid
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from strangler_proxy.handover.databases import conversion
from strangler_proxy.handover.databases.port import Cell, Kind, Session, Side, Table, TableName

KINDS = {
    "id": Kind.INTEGER,
    "code": Kind.TEXT,
    "price": Kind.DECIMAL,
    "ratio": Kind.FLOAT,
    "data": Kind.BINARY,
    "open": Kind.BOOLEAN,
    "made at": Kind.TIMESTAMP,
    "day": Kind.DATE,
    "hour": Kind.TIME,
    "ref": Kind.UUID,
    "more%": Kind.JSON,
}
WIDE = {
    "sqlite": """CREATE TABLE wide (id INTEGER NOT NULL, code VARCHAR(40) NOT NULL,
        price NUMERIC(20, 4), ratio REAL, data BLOB, open BOOLEAN, "made at" DATETIME, day DATE,
        hour TIME, ref CHAR(36), "more%" JSON,
        letters INT GENERATED ALWAYS AS (length(code)) STORED,
        PRIMARY KEY (id, code))""",
    "postgresql": """CREATE TABLE wide (id bigint NOT NULL, code varchar(40) NOT NULL,
        price numeric(20, 4), ratio double precision, data bytea, open boolean,
        "made at" timestamptz, day date, hour time, ref uuid, "more%%" json,
        letters bigint GENERATED ALWAYS AS (length(code)) STORED, PRIMARY KEY (id, code))""",
    "mysql": """CREATE TABLE wide (id bigint NOT NULL,
        code varchar(40) COLLATE utf8mb4_bin NOT NULL,
        price decimal(20, 4), ratio double, data longblob, open tinyint(1), `made at` datetime(6),
        day date, hour time(6), ref char(36), `more%%` json,
        letters bigint GENERATED ALWAYS AS (length(code)) STORED, PRIMARY KEY (id, code))""",
}
ROW: tuple[Any, ...] = (
    7,
    "ä😀%s'\"\\ \n",
    Decimal("1234567890.1234"),
    0.1,
    b"\0\xff%'\\",
    True,
    datetime(2024, 2, 29, 23, 59, 59, 999999),
    date(1999, 12, 31),
    time(23, 59, 59, 1),
    uuid.UUID(int=2**127 + 5),
    '{"a": [1, "ü😀"]}',
)
ROWS = [
    ROW,
    (8, "", *[None] * 9),
    (
        *(-(2**63), "A", Decimal("-0.0001"), -1e300, b"", False),
        *(datetime(1000, 1, 1), date(1000, 1, 1), time(0), uuid.UUID(int=0), "null"),
    ),
    (
        *(2**63 - 1, "a", Decimal("12345678901"), 5e-324, bytes(range(256))),
        *[None] * 5,
        "[]",
    ),
]
"""Times within what all three keep: MySQL's begin with the year 1000."""


def wide_side(session: Session) -> Side:
    """The wide table as a side of its own."""
    table = session.describe(TableName(None, "wide"))
    return side_of(session, table, KINDS, table.primary_key)


def side_of(session: Session, table: Table, kinds: dict[str, Kind], key: tuple[str, ...]) -> Side:
    """A side with these columns."""
    cells = tuple(
        Cell(kinds[column.name], session.dialect.quote(column.name), column)
        for column in table.columns
        if column.name in kinds
    )
    names = [cell.name for cell in cells]
    return Side(table, cells, tuple(names.index(name) for name in key))


def rows_of(session: Session, side: Side) -> list[tuple[Any, ...]]:
    """Every row as neutral values, ordered by the text of its key."""
    read = conversion.reading(session.dialect, side.cells)
    rows = read(session.rows(session.dialect.page(side, False, 1_000_000)))
    return sorted(rows, key=lambda row: str(side.key_of(row)))


def write_rows(session: Session, side: Side, rows: list[tuple[Any, ...]]) -> None:
    """Insert or overwrite rows of neutral values."""
    written = conversion.writing(session.dialect, side.cells)(rows)
    session.execute_many(session.dialect.upsert(side), written)
