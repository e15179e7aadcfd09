from __future__ import annotations

import json
import sqlite3
import struct
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.databases.canonical import (
    PLAIN,
    SESSION,
    Spelling,
    jsonb_text,
    row_sql,
    row_text,
    same,
    text_of,
    value_sql,
)
from strangler_proxy.handover.databases.conversion import writing
from strangler_proxy.handover.databases.port import Cell, Kind, Session, Side, TableName
from strangler_proxy.handover.verify.functions import register
from tests.services import scratch_database

PADDED, JSONB = Spelling(padded=True), Spelling(jsonb=True)
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40
)
JSONS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
MOMENTS = st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999))
DECIMALS = st.decimals(min_value=-(10**12), max_value=10**12, places=5)


@dataclass(frozen=True)
class Case:
    """A kind of values, and how each database declares a column of it."""

    kind: Kind
    values: st.SearchStrategy[Any]
    sqlite: str
    postgresql: str
    mysql: str
    spelling: Spelling = PLAIN


CASES = {
    "integer": Case(Kind.INTEGER, st.integers(-(2**63), 2**63 - 1), "BIGINT", "bigint", "bigint"),
    "decimal": Case(Kind.DECIMAL, DECIMALS, "TEXT", "numeric", "decimal(30,7)"),
    "decimal in real": Case(
        Kind.DECIMAL,
        st.decimals(min_value=-(10**9), max_value=10**9, places=3),
        "NUMERIC(14,3)",
        "numeric(14,3)",
        "decimal(14,3)",
    ),
    "whole decimal": Case(
        Kind.DECIMAL,
        st.integers(-(10**14), 10**14).map(Decimal),
        "NUMERIC(15,0)",
        "numeric(15,0)",
        "decimal(15,0)",
    ),
    "float": Case(
        Kind.FLOAT,
        st.floats(allow_nan=False, allow_infinity=False),
        "REAL",
        "double precision",
        "double",
    ),
    "text": Case(Kind.TEXT, TEXTS, "TEXT", "text", "longtext character set utf8mb4"),
    "padded text": Case(
        Kind.TEXT,
        TEXTS.map(lambda text: text.rstrip(" ")),
        "CHAR(40)",
        "character(40)",
        "char(40) character set utf8mb4 collate utf8mb4_bin",
        PADDED,
    ),
    "latin text": Case(
        Kind.TEXT,
        st.text("abcÀÿ€é ~", max_size=40),
        "TEXT",
        "varchar(40)",
        "varchar(80) character set latin1",
    ),
    "binary": Case(Kind.BINARY, st.binary(max_size=40), "BLOB", "bytea", "varbinary(40)"),
    "boolean": Case(Kind.BOOLEAN, st.booleans(), "BOOLEAN", "boolean", "tinyint(1)"),
    "bit": Case(Kind.BOOLEAN, st.booleans(), "BOOLEAN", "boolean", "bit(1)"),
    "timestamp": Case(Kind.TIMESTAMP, MOMENTS, "DATETIME", "timestamp", "datetime(6)"),
    "timestamp with zone": Case(
        Kind.TIMESTAMP,
        st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1)),
        "TIMESTAMP",
        "timestamp with time zone",
        "timestamp(6) null",
    ),
    "whole seconds": Case(
        Kind.TIMESTAMP,
        MOMENTS.map(lambda moment: moment.replace(microsecond=0)),
        "DATETIME",
        "timestamp(0)",
        "datetime",
    ),
    "julian days": Case(
        Kind.TIMESTAMP,
        st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)).map(
            lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        ),
        "REAL",
        "timestamp(3)",
        "datetime(3)",
    ),
    "date": Case(Kind.DATE, st.dates(date(1000, 1, 1), date(9999, 12, 31)), "DATE", "date", "date"),
    "time": Case(Kind.TIME, st.times(), "TIME", "time", "time(6)"),
    "uuid": Case(Kind.UUID, st.uuids(), "CHAR(32)", "uuid", "char(36)"),
    "uuid as bytes": Case(Kind.UUID, st.uuids(), "BLOB", "uuid", "binary(16)"),
    "uuid of MariaDB": Case(Kind.UUID, st.uuids(version=4), "VARCHAR(36)", "uuid", "uuid"),
    # In SQLite a lone number would be stored as one: JSON has NUMERIC affinity there.
    "json": Case(Kind.JSON, st.lists(JSONS, max_size=2).map(json.dumps), "JSON", "json", "json"),
}


class Database:
    """One database with a table for each case, and how a value is put in and read as text."""

    def __init__(self, url: str) -> None:
        database = open_database(url)
        self.kind = database.kind
        self.session: Session = database.session()
        for statement in SESSION[database.kind]:
            self.session.execute(statement)
        if database.kind == "sqlite":
            register(self.session.raw)
        self._sides: dict[str, Side] = {}

    def side(self, name: str, case: Case) -> Side:
        if name not in self._sides:
            table = f"t{len(self._sides)}"
            declared = getattr(case, self.kind)
            self.session.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v {declared})")
            described = self.session.describe(TableName(None, table))
            cells = [
                Cell(kind, self.session.dialect.quote(column.name), column)
                for column, kind in zip(described.columns, (Kind.INTEGER, case.kind), strict=True)
            ]
            self._sides[name] = Side(described, tuple(cells), (0,))
        return self._sides[name]

    def texts(self, name: str, case: Case, values: list[Any]) -> tuple[list[Any], list[Any]]:
        """The texts of these values after they were stored: of each value, and of each row."""
        side, dialect = self.side(name, case), self.session.dialect
        self.session.execute(f"DELETE FROM {dialect.table(side.table.name)}")
        rows = writing(dialect, side.cells)(enumerate(values))
        self.session.execute_many(dialect.insert(side), rows)
        value = value_sql(dialect, side.cells[1], case.spelling)
        row = row_sql(dialect, side.cells, [Spelling(), case.spelling])
        table = dialect.table(side.table.name)
        found = self.session.rows(f"SELECT {value}, {row} FROM {table} ORDER BY id")
        return [each[0] for each in found], [_bytes(each[1]) for each in found]


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


@pytest.fixture(
    scope="module",
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.services),
        pytest.param("mysql", marks=pytest.mark.services),
    ],
)
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            path = tmp_path_factory.mktemp("canonical") / "values.db"
            sqlite3.connect(path).close()
            url = f"sqlite:///{path}"
        else:
            url = stack.enter_context(scratch_database(request.param))
        database = Database(url)
        stack.callback(database.session.close)
        yield database


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_database_spells_a_value_as_python_does(
    database: Database, name: str, data: st.DataObject
) -> None:
    case = CASES[name]
    values = data.draw(st.lists(st.none() | case.values, min_size=1, max_size=30))
    texts, rows = database.texts(name, case, values)
    kinds, spellings = (Kind.INTEGER, case.kind), (Spelling(), case.spelling)
    expected = [
        None if value is None else text_of(case.kind, value, case.spelling) for value in values
    ]
    if case.kind == Kind.FLOAT:
        # PostgreSQL's digits beyond 2**53 need not be the shortest that are nearest.
        assert all(same(case.kind, *both) for both in zip(texts, expected, strict=True))
        return
    assert texts == expected
    assert rows == [row_text(kinds, row, spellings) for row in enumerate(values)]


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(JSONS, min_size=1, max_size=10))
def test_json_is_spelled_as_jsonb_by_all_that_can(database: Database, values: list[Any]) -> None:
    if database.kind == "mysql":
        pytest.skip("MySQL has no such spelling")
    case = Case(Kind.JSON, JSONS, "JSON", "jsonb", "json", JSONB)
    written = [json.dumps([value], indent=1) for value in values]
    texts, _ = database.texts("jsonb", case, written)
    assert texts == [jsonb_text(text) for text in written]


def test_floats_of_every_magnitude_have_one_text(database: Database) -> None:
    numbers = [
        float(f"{digits}e{power}")
        for digits in (1, -1.5, 12345.678)
        for power in range(-300, 300, 7)
    ]
    numbers += [0.1 + 0.2, 5e-324, 2.2250738585072014e-308, 100000.0, -0.0]
    texts, _ = database.texts("float", CASES["float"], numbers)
    assert texts == [text_of(Kind.FLOAT, number) for number in numbers]


# --- in Python alone


VALUES: dict[Kind, st.SearchStrategy[Any]] = {case.kind: case.values for case in CASES.values()}
ROWS = st.lists(
    st.sampled_from([Kind.TEXT, Kind.JSON, Kind.INTEGER, Kind.BINARY]), min_size=1, max_size=4
)


@given(data=st.data(), kinds=ROWS)
def test_two_rows_share_no_text(data: st.DataObject, kinds: list[Kind]) -> None:
    hard = st.text("|:1a", max_size=6) | st.text(max_size=4)
    of = {
        Kind.TEXT: hard,
        Kind.JSON: hard,
        Kind.INTEGER: st.integers(-20, 200),
        Kind.BINARY: st.binary(max_size=2),
    }
    one, other = (tuple(data.draw(st.none() | of[kind]) for kind in kinds) for _ in range(2))
    plain = [Spelling()] * len(kinds)
    texts = [row_text(kinds, row, plain) for row in (one, other)]
    assert (texts[0] == texts[1]) == (one == other)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Kind.DECIMAL, Decimal("1.50"), "1.5"),
        (Kind.DECIMAL, Decimal("-0.00"), "0"),
        (Kind.DECIMAL, Decimal("1E+3"), "1000"),
        (Kind.DECIMAL, Decimal("NaN"), "NaN"),
        (Kind.FLOAT, 1234.5, "12345e-1"),
        (Kind.FLOAT, -1e22, "-1e22"),
        (Kind.FLOAT, -0.0, "0"),
        (Kind.FLOAT, float("-inf"), "-Infinity"),
        (Kind.TIMESTAMP, datetime(1969, 12, 31, 23, 59, 59, 120000), "1969-12-31 23:59:59.12"),
        (Kind.TIMESTAMP, datetime(2024, 2, 29), "2024-02-29 00:00:00"),
        (Kind.TIME, time(1, 2, 3, 400), "01:02:03.0004"),
        (Kind.BOOLEAN, True, "1"),
        (Kind.BINARY, b"\x00\xff", "00ff"),
        (
            Kind.UUID,
            uuid.UUID("ABCDEFAB-0000-1111-2222-333344445555"),
            "abcdefab-0000-1111-2222-333344445555",
        ),
    ],
)
def test_a_value_has_this_text(kind: Kind, value: Any, text: str) -> None:
    assert text_of(kind, value) == text


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_float_stands_for_it(number: float) -> None:
    assert float(text_of(Kind.FLOAT, number)) == number


@given(value=JSONS)
def test_json_is_the_same_however_it_is_laid_out(value: Any) -> None:
    one = json.dumps(value, indent=2, ensure_ascii=False)
    assert same(Kind.JSON, one, json.dumps(value, separators=(",", ":")))
    assert same(Kind.JSON, one, jsonb_text(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": true}', '{"a": 1}'),
        ('["1"]', "[1]"),
        ("[1, 2]", "[2, 1]"),
        ('{"a": null}', "{}"),
        ("0.1", "0.10000000000000001"),
        ("[]", "not json"),
        ("not json", "no json"),
        ("1e999999999", "2e999999999"),
    ],
)
def test_json_that_means_something_else_is_not_the_same(one: str, other: str) -> None:
    assert not same(Kind.JSON, one, other)


def test_numbers_in_json_are_the_same_in_any_notation() -> None:
    assert same(Kind.JSON, '{"a": 1.50, "b": 100}', '{"b": 1e2, "a": 1.5}')


def test_null_is_the_same_as_null_alone() -> None:
    assert same(Kind.TEXT, None, None)
    assert not same(Kind.TEXT, None, "")
    assert not same(Kind.JSON, None, "null")


@pytest.mark.parametrize(
    ("declared", "kind", "stored"),
    [
        ("BIGINT", Kind.INTEGER, "twelve"),
        ("BIGINT", Kind.INTEGER, 1.5),
        ("BOOLEAN", Kind.BOOLEAN, "true"),
        ("DATETIME", Kind.TIMESTAMP, "yesterday"),
        ("DATE", Kind.DATE, "2024-13-77x"),
        ("NUMERIC", Kind.DECIMAL, "1.x|"),
        ("REAL", Kind.FLOAT, "much"),
        ("UUID", Kind.UUID, "mine"),
        ("TIME", Kind.TIME, b"\xff"),
    ],
)
def test_what_is_not_of_its_kind_in_sqlite_is_shown_as_bytes(
    tmp_path: Any, declared: str, kind: Kind, stored: Any
) -> None:
    raw = sqlite3.connect(tmp_path / "odd.db", isolation_level=None)
    raw.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared})")
    raw.execute("INSERT INTO t VALUES (1, ?)", (stored,))
    raw.close()
    database = Database(f"sqlite:///{tmp_path / 'odd.db'}")
    try:
        column = database.session.describe(TableName(None, "t")).columns[1]
        text = value_sql(database.session.dialect, Cell(kind, '"v"', column))
        shown = database.session.scalar(f"SELECT {text} FROM t")
    finally:
        database.session.close()
    kept = stored if isinstance(stored, bytes) else str(stored).encode()
    assert shown == f"?{kept.hex().upper()}"


@pytest.mark.parametrize(
    "spelled",
    [
        "2024-01-02T03:04:05Z",
        "2024-01-02 03:04:05+00:00",
        "2024-01-02 05:04:05.000+02:00",
        "2024-01-02 03:04:05",
        "2024-01-02 03:04:05.000000",
    ],
)
def test_a_moment_in_sqlite_is_read_however_it_is_written(tmp_path: Any, spelled: str) -> None:
    raw = sqlite3.connect(":memory:")
    register(raw)
    sql = value_sql(open_database("sqlite:///none").dialect, Cell(Kind.TIMESTAMP, "?1", None))
    assert raw.execute(f"SELECT {sql}", (spelled,)).fetchone()[0] == "2024-01-02 03:04:05"
    raw.close()


def test_four_byte_numbers_count_as_the_doubles_that_they_are() -> None:
    single = struct.unpack("f", struct.pack("f", 0.1))[0]
    assert single != 0.1
    assert text_of(Kind.FLOAT, single) == "10000000149011612e-17"


def test_a_span_of_time_keeps_its_microseconds() -> None:
    moment = datetime(2024, 1, 1) + timedelta(microseconds=10)
    assert text_of(Kind.TIMESTAMP, moment) == "2024-01-01 00:00:00.00001"
