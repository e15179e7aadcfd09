"""SQL is quoted, keys agree, and values that would change silently are refused."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from strangler_proxy.handover.databases import conversion, values
from strangler_proxy.handover.databases.agreement import agreed_kind
from strangler_proxy.handover.databases.mysql.dialect import MysqlDialect
from strangler_proxy.handover.databases.mysql.schema import _kinds as mysql_kinds
from strangler_proxy.handover.databases.port import (
    Cell,
    Column,
    Dialect,
    Kind,
    Side,
    Table,
    TableName,
)
from strangler_proxy.handover.databases.postgresql.dialect import PostgresqlDialect
from strangler_proxy.handover.databases.postgresql.schema import _KINDS as POSTGRESQL_KINDS
from strangler_proxy.handover.databases.sqlite.dialect import SqliteDialect
from strangler_proxy.handover.databases.sqlite.schema import kinds_of as sqlite_kinds
from strangler_proxy.handover.databases.url import open_database
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.naming import is_trigger, trigger

DIALECTS: list[Dialect] = [SqliteDialect(), PostgresqlDialect(), MysqlDialect()]


def column(name: str, declared: str, *kinds: Kind, scale: int | None = None) -> Column:
    return Column(name, declared, kinds, nullable=True, scale=scale)


def side(dialect: Dialect, *columns: Column, key: tuple[int, ...] = (0,)) -> Side:
    table = Table(TableName("s", "t"), columns, tuple(columns[place].name for place in key))
    cells = tuple(Cell(each.kinds[0], dialect.quote(each.name), each) for each in columns)
    return Side(table, cells, key)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.kind)
def test_a_page_behind_a_key_of_several_columns_has_a_parameter_for_each_mark(
    dialect: Dialect,
) -> None:
    columns = [column(name, "bigint", Kind.INTEGER) for name in "abcd"]
    three = side(dialect, *columns, key=(2, 0, 1))
    sql = dialect.page(three, True, 10)
    assert sql.count(dialect.placeholder) == len(dialect.page_parameters((1, 2, 3)))
    assert "LIMIT 10" in sql


@pytest.mark.parametrize(
    ("dialect", "name", "quoted"),
    [
        (SqliteDialect(), 'a"b%', '"a""b%"'),
        (PostgresqlDialect(), 'a"b%', '"a""b%%"'),
        (MysqlDialect(), "a`b%", "`a``b%%`"),
    ],
)
def test_names_are_quoted_for_a_session(dialect: Dialect, name: str, quoted: str) -> None:
    assert dialect.quote(name) == quoted
    assert dialect.table(TableName(None, name)) == quoted


def test_texts_are_quoted_for_a_session() -> None:
    assert SqliteDialect().literal("a'b%\\") == "'a''b%\\'"
    assert PostgresqlDialect().literal("a'b%\\") == "'a''b%%\\'"
    assert MysqlDialect().literal("a'b%\\") == "'a''b%%\\\\'"


TINY, LONG = mysql_kinds("tinyint", "tinyint(1)"), mysql_kinds("bigint", "bigint(20)")
CHAR = mysql_kinds("char", "char(36)")


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [
        (TINY, POSTGRESQL_KINDS["bool"], Kind.BOOLEAN),
        (TINY, POSTGRESQL_KINDS["int4"], Kind.INTEGER),
        (TINY, TINY, Kind.INTEGER),
        (sqlite_kinds("INTEGER"), POSTGRESQL_KINDS["bool"], Kind.BOOLEAN),
        (sqlite_kinds("BOOLEAN"), LONG, Kind.INTEGER),
        (CHAR, POSTGRESQL_KINDS["uuid"], Kind.UUID),
        (CHAR, CHAR, Kind.TEXT),
        (mysql_kinds("binary", "binary(16)"), POSTGRESQL_KINDS["uuid"], Kind.UUID),
        (sqlite_kinds("TEXT"), POSTGRESQL_KINDS["timestamptz"], Kind.TIMESTAMP),
        (sqlite_kinds("REAL"), POSTGRESQL_KINDS["timestamp"], Kind.TIMESTAMP),
        (sqlite_kinds("REAL"), POSTGRESQL_KINDS["float8"], Kind.FLOAT),
        (sqlite_kinds("NUMERIC(9,2)"), sqlite_kinds("NUMERIC(9,2)"), Kind.DECIMAL),
        (POSTGRESQL_KINDS["numeric"], LONG, Kind.INTEGER),
        (POSTGRESQL_KINDS["jsonb"], mysql_kinds("longtext", "longtext"), Kind.JSON),
        (POSTGRESQL_KINDS["int4"], POSTGRESQL_KINDS["text"], None),
        (POSTGRESQL_KINDS["float8"], POSTGRESQL_KINDS["numeric"], None),
        ((), POSTGRESQL_KINDS["text"], None),
    ],
)
def test_two_columns_agree_on_one_kind_either_way(
    source: tuple[Kind, ...], target: tuple[Kind, ...], kind: Kind | None
) -> None:
    one, other = column("a", "x", *source), column("b", "y", *target)
    assert agreed_kind(one, other) == kind
    assert agreed_kind(other, one) == kind


REFUSED: list[tuple[Callable[[Any], Any], Any]] = [
    (values.integer, Decimal("1.5")),
    (values.integer, "1"),
    (values.integer, Decimal("NaN")),
    (values.boolean, 2),
    (values.boolean, "yes"),
    (values.as_uuid, "nothing"),
    (values.as_uuid, b"short"),
    (values.text, b"bytes"),
    (values.timestamp, "0000-00-00 00:00:00"),
    (values.timestamp, 2460000.5),
    (values.day, "2024-02-30"),
    (values.day, datetime(2024, 1, 1)),
    (values.time_of_day, timedelta(hours=25)),
    (values.time_of_day, "25:00"),
    (values.fitting(2), Decimal("0.001")),
    (values.fitting(2), Decimal("NaN")),
    (values.fitting(-1), Decimal(5)),
    (values.fraction(3), datetime(2024, 1, 1, 0, 0, 0, 1)),
    (values.single, 0.1),
    (values.single, 1e300),
]


@pytest.mark.parametrize(("convert", "value"), REFUSED)
def test_a_value_that_would_change_is_refused(convert: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises((ValueError, OverflowError)):
        convert(value)


@pytest.mark.parametrize(
    ("convert", "value", "neutral"),
    [
        (values.integer, Decimal("5.00"), 5),
        (
            values.as_uuid,
            "6F9619FF8B86D011B42D00C04FC964FF",
            uuid.UUID(int=0x6F9619FF8B86D011B42D00C04FC964FF),
        ),
        (values.timestamp, "2024-01-01T12:00:00+02:00", datetime(2024, 1, 1, 10)),
        (values.timestamp, "2024-01-01 12:00:00Z", datetime(2024, 1, 1, 12)),
        (values.time_of_day, timedelta(hours=1, microseconds=2), time(1, 0, 0, 2)),
        (values.fitting(2), Decimal("1.500"), Decimal("1.500")),
        (
            values.fraction(3),
            datetime(2024, 1, 1, 0, 0, 0, 1000),
            datetime(2024, 1, 1, 0, 0, 0, 1000),
        ),
        (values.single, 0.5, 0.5),
    ],
)
def test_a_value_that_only_is_written_otherwise_is_taken(
    convert: Callable[[Any], Any], value: Any, neutral: Any
) -> None:
    assert convert(value) == neutral


@pytest.mark.parametrize(
    ("declared", "kind", "value", "stored"),
    [
        ("CHAR(32)", Kind.UUID, uuid.UUID(int=10), "0" * 31 + "a"),
        ("BLOB", Kind.UUID, uuid.UUID(int=10), b"\0" * 15 + b"\x0a"),
        ("REAL", Kind.TIMESTAMP, datetime(2000, 1, 1, 12), 2451545.0),
        ("NUMERIC(20,2)", Kind.DECIMAL, Decimal("12.50"), 12.5),
        ("NUMERIC(20,2)", Kind.DECIMAL, Decimal("12345678901234567"), 12345678901234567),
        ("TEXT", Kind.DECIMAL, Decimal("0.12345678901234567890"), "0.12345678901234567890"),
        ("DATETIME", Kind.TIMESTAMP, datetime(2000, 1, 1), "2000-01-01 00:00:00.000000"),
    ],
)
def test_sqlite_stores_values_as_the_column_is_declared(
    declared: str, kind: Kind, value: Any, stored: Any
) -> None:
    dialect = SqliteDialect()
    cell = Cell(kind, '"a"', column("a", declared.lower(), kind))
    assert conversion.writing(dialect, [cell])([(value,)]) == [(stored,)]
    assert conversion.reading(dialect, [cell])([(stored,)]) == [(value,)]


@pytest.mark.parametrize(
    ("declared", "kind", "value"),
    [
        ("REAL", Kind.TIMESTAMP, datetime(2000, 1, 1, 0, 0, 0, 1)),
        ("NUMERIC(20,2)", Kind.DECIMAL, Decimal("0.1234567890123456")),
        ("NUMERIC(20,2)", Kind.DECIMAL, Decimal("Infinity")),
    ],
)
def test_sqlite_refuses_what_it_would_not_keep(declared: str, kind: Kind, value: Any) -> None:
    cell = Cell(kind, '"a"', column("a", declared.lower(), kind))
    with pytest.raises(HandoverRefused, match='column "a" keeps'):
        conversion.writing(SqliteDialect(), [cell])([(value,)])


def test_a_null_needs_no_conversion() -> None:
    dialect = SqliteDialect()
    cells = [Cell(kind, '"a"', column("a", "text", kind)) for kind in Kind]
    row = (None,) * len(cells)
    assert conversion.reading(dialect, cells)([row]) == [row]
    assert conversion.writing(dialect, cells)([row]) == [row]


def test_triggers_of_one_move_are_not_taken_for_anothers() -> None:
    name = trigger("a", TableName("s", "t"), "does this", "ins")
    assert is_trigger("a", name)
    assert not is_trigger("b", name)
    assert not is_trigger("a", trigger("a_b", TableName("s", "t"), "does this", "ins"))
    assert name != trigger("a", TableName("s", "t"), "does that", "ins")
    longest = trigger("m" * 24, TableName("s", "t"), "does this", "ins")
    assert len(longest) <= 63


def test_a_password_is_not_shown() -> None:
    for url in ("postgresql://me:secret@h/d", "mysql+pymysql://me:se%40cret@h:1/d?charset=utf8mb4"):
        shown = open_database(url).shown
        assert "cret" not in shown
        assert "me@h" in shown
