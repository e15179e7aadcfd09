import uuid
from datetime import date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy.handover.databases.port import Kind
from strangler_proxy.handover.loading import lines

KINDS = list(Kind)
VALUES = {
    Kind.INTEGER: st.integers(),
    Kind.DECIMAL: st.decimals(allow_nan=False, allow_infinity=False),
    Kind.FLOAT: st.floats(allow_nan=False),
    Kind.TEXT: st.text(),
    Kind.BINARY: st.binary(),
    Kind.BOOLEAN: st.booleans(),
    Kind.TIMESTAMP: st.datetimes(),
    Kind.DATE: st.dates(),
    Kind.TIME: st.times(),
    Kind.UUID: st.uuids(),
    Kind.JSON: st.text(),
}
ROWS = st.lists(st.tuples(*(st.none() | VALUES[kind] for kind in KINDS)), max_size=4)


@given(ROWS)
def test_rows_come_back_out_of_lines_as_they_went_in(rows) -> None:
    encoded = lines.encode(KINDS, rows)
    assert b"".join(encoded).count(b"\n") == len(rows)
    assert lines.parse(KINDS, encoded) == rows


def test_a_line_is_what_the_postgresql_manual_says() -> None:
    row = (
        1,
        Decimal("2.50"),
        0.1,
        "a\tb\\c\nd\r",
        b"\x00\xff",
        True,
        datetime(2024, 1, 2, 3, 4, 5, 60),
        date(2024, 1, 2),
        time(3, 4),
        uuid.UUID(int=5),
        None,
    )
    (line,) = lines.encode(KINDS, [row])
    assert line == (
        b"1\t2.50\t0.1\ta\\tb\\\\c\\nd\\r\t\\\\x00ff\tt\t2024-01-02 03:04:05.000060\t2024-01-02"
        b"\t03:04:00\t00000000-0000-0000-0000-000000000005\t\\N\n"
    )


def test_escapes_that_only_postgresql_writes_are_read() -> None:
    assert lines.fields(b"a\\b\\f\\v\\n\\t\\r\\\\N\tb\n") == ["a\b\f\v\n\t\r\\N", "b"]


def test_text_that_looks_like_null_is_no_null() -> None:
    assert lines.fields(b"\\\\N\t\\N\n") == ["\\N", None]


def test_escapes_that_mysql_does_not_know_become_what_they_stand_for() -> None:
    assert lines.as_mysql_reads(b"a\\f\\v\\\\f\\t\n") == b"a\f\v\\\\f\\t\n"


@pytest.mark.parametrize(
    ("kind", "text"),
    [(Kind.INTEGER, b"x"), (Kind.BOOLEAN, b"2"), (Kind.TIMESTAMP, b"infinity"), (Kind.UUID, b"1")],
)
def test_what_is_none_of_its_kind_is_refused(kind, text) -> None:
    with pytest.raises(ValueError, match=text.decode()):
        lines.parse([kind], [text + b"\n"])
