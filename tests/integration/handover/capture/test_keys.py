"""The key in an entry finds its row again, whatever its type."""

from __future__ import annotations

from typing import Any

import pytest

from strangler_proxy.handover.capture import Capture
from strangler_proxy.handover.databases.port import Kind
from strangler_proxy.handover.faults import HandoverRefused
from tests.integration.handover.capture.capturing import MOVE, QUICK, Make, keys, side
from tests.integration.handover.conftest import SERVERS

TEXTS = ["", "a", "A", "ü😀", "q'\"\\%", "1", "a "]
KEYS: dict[str, dict[str, tuple[str, Kind, list[Any]]]] = {
    "sqlite": {
        "integer": ("INTEGER", Kind.INTEGER, [1, -(2**63), 2**63 - 1]),
        "text": ("TEXT", Kind.TEXT, TEXTS),
        "uuid": ("CHAR(36)", Kind.UUID, ["6F9619FF-8B86-D011-B42D-00C04FC964FF"]),
        "binary": ("BLOB", Kind.BINARY, [b"\0\xff", b"", b"'\""]),
    },
    "postgresql": {
        "integer": ("bigint", Kind.INTEGER, [1, -(2**63), 2**63 - 1]),
        "text": ("text", Kind.TEXT, TEXTS),
        "char": ("char(9)", Kind.TEXT, ["abc", "q'%"]),
        "uuid": ("uuid", Kind.UUID, ["6f9619ff-8b86-d011-b42d-00c04fc964ff"]),
        "uuid text": ("varchar(40)", Kind.UUID, ["6F9619FF8B86D011B42D00C04FC964FF"]),
        "binary": ("bytea", Kind.BINARY, [b"\0\xff", b"", b"'\""]),
        "decimal": ("numeric(20, 2)", Kind.DECIMAL, ["1.10", "-0.01"]),
        "date": ("date", Kind.DATE, ["2024-02-29"]),
        "moment": ("timestamptz", Kind.TIMESTAMP, ["2024-02-29 12:00:00.000001+02"]),
    },
    "mysql": {
        "integer": ("bigint unsigned", Kind.INTEGER, [1, 2**64 - 1]),
        "text": ("varchar(50) COLLATE utf8mb4_nopad_bin", Kind.TEXT, TEXTS),
        "latin": ("varchar(50) CHARACTER SET latin1", Kind.TEXT, ["ü"]),
        "uuid": ("char(36)", Kind.UUID, ["6F9619FF-8B86-D011-B42D-00C04FC964FF"]),
        "binary": ("varbinary(20)", Kind.BINARY, [b"\0\xff", b"", b"'\""]),
        "uuid bytes": ("binary(16)", Kind.UUID, [bytes(16), b"\xff" * 16]),
        "decimal": ("decimal(20, 2)", Kind.DECIMAL, ["1.10", "-0.01"]),
        "date": ("date", Kind.DATE, ["2024-02-29"]),
        "moment": ("datetime(6)", Kind.TIMESTAMP, ["2024-02-29 12:00:00.000001"]),
    },
}


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        pytest.param(kind, key, marks=[pytest.mark.services] if kind in SERVERS else [])
        for kind, known in KEYS.items()
        for key in known
    ],
)
def test_a_key_of_any_type_finds_its_row_again(place: Make, kind: str, key: str) -> None:
    here = place(kind)
    declared, kind_of_key, values = KEYS[kind][key]
    writer = here.writer(
        f"CREATE TABLE t (k {declared} NOT NULL, j INTEGER NOT NULL, n INTEGER, PRIMARY KEY (k, j))"
    )
    table = side(writer, "t", k=kind_of_key)
    capture = Capture(here.database, MOVE, [table])
    capture.install(QUICK)
    dialect = writer.dialect
    mark = dialect.placeholder
    for number, value in enumerate(values):
        writer.execute(f"INSERT INTO t VALUES ({mark}, {mark}, 0)", (value, number))
    entries = capture.entries(writer, 100)
    assert len(entries) == len(values)
    for number, entry in enumerate(entries):
        (row,) = writer.rows(dialect.by_keys(table, 1), entry.key)
        assert table.key_of(row) == entry.key
        assert entry.key[1] == number


@pytest.mark.services
def test_a_key_that_changes_its_case_alone_is_two_keys_on_mysql(place: Make) -> None:
    here = place("mysql")
    writer = here.writer(
        "CREATE TABLE t (k VARCHAR(9) COLLATE utf8mb4_general_ci NOT NULL PRIMARY KEY)",
        "INSERT INTO t VALUES ('a')",
    )
    capture = Capture(here.database, MOVE, [side(writer, "t", k=Kind.TEXT)])
    capture.install(QUICK)
    writer.execute("UPDATE t SET k = 'A'")
    assert [key for _, (key,) in keys(here, capture)] == ["a", "A"]


def test_a_null_in_a_key_stops_the_move(place: Make) -> None:
    here = place("sqlite")
    writer = here.writer("CREATE TABLE t (k TEXT PRIMARY KEY)")
    capture = Capture(here.database, MOVE, [side(writer, "t", k=Kind.TEXT)])
    capture.install(QUICK)
    writer.execute("INSERT INTO t VALUES (NULL)")
    with pytest.raises(HandoverRefused, match="is not a row's key"):
        keys(here, capture)
