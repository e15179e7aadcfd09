"""What stands against a move is told before anything is done, all of it at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from strangler_proxy.handover.databases.port import Kind, Pair
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.pairing import pair_tables
from tests.integration.handover.conftest import Place

Make = Callable[[str], Place]


def paired(place: Make, source: str, target: str, **table: Any) -> Pair:
    """The pair of one table t between two files of SQLite."""
    return pair_of(place("sqlite").writer(source), place("sqlite").writer(target), **table)


def pair_of(source: Any, target: Any, **table: Any) -> Pair:
    move = Move.model_validate(
        {"name": "m", "source_env": "A", "target_env": "B", "tables": [{"table": "t", **table}]}
    )
    (pair,) = pair_tables(move, source, target)
    return pair


def refusals(place: Make, source: str, target: str, **table: Any) -> tuple[str, ...]:
    with pytest.raises(HandoverRefused) as told:
        paired(place, source, target, **table)
    return told.value.sentences


def test_columns_that_both_have_are_paired_in_the_targets_order(place: Make) -> None:
    pair = paired(
        place,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, old TEXT, b TEXT, a INT)",
        "CREATE TABLE t (a BOOLEAN, b VARCHAR(9), id INTEGER PRIMARY KEY, new TEXT, "
        "c INT GENERATED ALWAYS AS (id) STORED)",
    )
    assert [cell.name for cell in pair.source.cells] == ["a", "b", "id"]
    assert [cell.name for cell in pair.target.cells] == ["a", "b", "id"]
    assert [cell.kind for cell in pair.target.cells] == [Kind.INTEGER, Kind.TEXT, Kind.INTEGER]
    assert pair.source.key == pair.target.key == (2,)


def test_a_computed_column_of_the_source_may_fill_one_of_the_target(place: Make) -> None:
    pair = paired(
        place,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, c INT GENERATED ALWAYS AS (id) STORED)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, c INT)",
    )
    assert len(pair.source.cells) == 2


def test_another_key_than_the_primary_one_must_be_unique_on_both_sides(place: Make) -> None:
    with_key = "CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE)"
    without = "CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT NOT NULL)"
    assert paired(place, with_key, with_key, key=["code"]).source.key == (1,)
    assert refusals(place, with_key, without, key=["code"]) == (
        "t has no unique key over exactly code",
    )


def test_every_reason_is_told_at_once(place: Make) -> None:
    told = refusals(
        place,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a REAL, b GEOMETRY)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a BLOB, b GEOMETRY, must INTEGER NOT NULL, "
        "made INT GENERATED ALWAYS AS (id) STORED)",
        columns={"id": "id", "a": "a", "b": "b", "made": "id", "gone": "id", "must": "nowhere"},
    )
    text = "\n".join(told)
    assert "t.a (real) does not fit t.a (blob)" in text
    assert "t.b (geometry) does not fit" in text
    assert "t.made is computed by the target" in text
    assert "t has no column gone at the target" in text
    assert "t has no column nowhere; it has: id, a, b" in text
    assert "t.must must be filled" in text
    assert len(told) == 6


def test_a_table_without_a_primary_key_is_refused(place: Make) -> None:
    table = "CREATE TABLE t (id INTEGER, n INTEGER)"
    assert refusals(place, table, table) == (
        "t has no primary key, so its changed rows cannot be named",
    )


def test_a_key_that_is_not_moved_or_is_not_found_by_equality_is_refused(place: Make) -> None:
    table = "CREATE TABLE t (id REAL NOT NULL PRIMARY KEY, n INTEGER)"
    assert "is not among columns" in refusals(place, table, table, columns={"n": "n"})[0]
    assert "values of kind float" in refusals(place, table, table)[0]


def test_a_key_that_is_null_in_some_row_is_refused(place: Make) -> None:
    table = "CREATE TABLE t (id TEXT PRIMARY KEY)"
    source = place("sqlite").writer(table, "INSERT INTO t VALUES (NULL)")
    with pytest.raises(HandoverRefused, match="rows whose key id is NULL"):
        pair_of(source, place("sqlite").writer(table))


def test_a_key_that_only_the_target_compares_without_case_is_refused(place: Make) -> None:
    source = "CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY)"
    target = "CREATE TABLE t (id TEXT COLLATE NOCASE NOT NULL PRIMARY KEY)"
    assert "compares by NOCASE" in refusals(place, source, target)[0]
    assert paired(place, target, target).source.key == (0,)


def test_a_decimal_that_the_target_would_round_is_refused(place: Make) -> None:
    source = "CREATE TABLE t (id INTEGER PRIMARY KEY, price NUMERIC(9, 4))"
    target = "CREATE TABLE t (id INTEGER PRIMARY KEY, price NUMERIC(9, 2))"
    assert "keeps 2 digits where" in refusals(place, source, target)[0]
    assert paired(place, target, source).target.cells[1].kind == Kind.DECIMAL


def test_a_table_that_one_side_has_not_is_told(place: Make) -> None:
    table = "CREATE TABLE t (id INTEGER PRIMARY KEY)"
    assert refusals(place, table, "SELECT 1") == ("there is no table t",)


@pytest.mark.services
def test_tables_that_the_servers_cannot_capture_are_refused(place: Make) -> None:
    target = place("sqlite").writer("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    mysql = place("mysql").writer("CREATE TABLE t (id INT PRIMARY KEY) ENGINE=MyISAM")
    with pytest.raises(HandoverRefused, match="kept by MyISAM"):
        pair_of(mysql, target)
    parts = "PARTITION BY HASH (id) PARTITIONS 2"
    mysql.execute(f"CREATE OR REPLACE TABLE t (id INT PRIMARY KEY) {parts}")
    with pytest.raises(HandoverRefused, match="no ordinary table"):
        pair_of(mysql, target)
    mysql.execute("CREATE OR REPLACE TABLE t (id TIMESTAMP PRIMARY KEY)")
    with pytest.raises(HandoverRefused, match="depends on the writer's time zone"):
        pair_of(mysql, place("sqlite").writer("CREATE TABLE t (id DATETIME PRIMARY KEY)"))
    postgresql = place("postgresql").writer(
        "CREATE TABLE t (id INT PRIMARY KEY) PARTITION BY HASH (id)"
    )
    with pytest.raises(HandoverRefused, match="no ordinary table"):
        pair_of(postgresql, target)
