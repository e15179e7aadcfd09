"""Which values a verification takes for the same between two databases, and which not."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from strangler_proxy.handover.databases.port import Pair
from tests.integration.handover.conftest import Place
from tests.integration.handover.tables import ROWS, WIDE, wide_side, write_rows
from tests.integration.handover.verify.sides import POSTS, Make, sides, told


def test_every_kind_of_value_agrees_after_a_copy_and_is_seen_when_it_changes(
    places: tuple[Place, Place],
) -> None:
    it = sides(places, [WIDE[places[0].kind]], [WIDE[places[1].kind]], {"table": "wide"})
    # Two sides of SQLite would agree to move times and UUIDs as the text that they are.
    it = replace(it, pairs=(Pair(wide_side(it.reads), wide_side(it.writes)),))
    it.copied(ROWS)
    report = it.verify()
    assert report.agrees, str(report)
    assert report.rows == len(ROWS)
    changes: dict[str, Any] = {
        "price": Decimal("1.0001"), "ratio": 0.30000000000000004, "data": b"\0", "open": False,
        "made at": datetime(2024, 2, 29, 23, 59, 59, 999998), "day": date(1999, 12, 30),
        "hour": ROWS[0][8].replace(microsecond=2), "ref": uuid.UUID(int=2**127 + 6),
        "more%": '{"a": [1, "u"]}',
    }  # fmt: skip
    names = [cell.name for cell in it.pair.target.cells]
    for name, value in changes.items():
        for changed in (value, None):
            place = names.index(name)
            row = (*ROWS[0][:place], changed, *ROWS[0][place + 1 :])
            write_rows(it.writes, it.pair.target, [row])
            report = it.verify()
            assert [each.key for each in report.differences] == [ROWS[0][:2]], name
            assert [each.unlike for each in report.differences] == [(place,)]
    write_rows(it.writes, it.pair.target, [ROWS[0]])
    assert it.verify().agrees


def test_columns_are_renamed_computed_and_left_out(some: tuple[Place, Place]) -> None:
    target = "CREATE TABLE texts (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(80), twice BIGINT)"
    columns = {"id": "id", "name": "title", "twice": {"sql": "author_id * 2"}}
    it = sides(some, [POSTS], [target], {"table": "posts", "to": "texts", "columns": columns})
    for key in range(100):
        it.reads.execute(f"INSERT INTO posts VALUES ({key}, 't%{key}', 0, {key})".replace("%", "-"))
        it.writes.execute(f"INSERT INTO texts VALUES ({key}, 't-{key}', {key * 2})")
    assert it.verify().agrees
    it.writes.execute("UPDATE texts SET twice = 7 WHERE id = 5")
    (found,) = it.verify().differences
    assert (found.key, found.source, found.target) == ((5,), ("5", "t-5", "10"), ("5", "t-5", "7"))


@pytest.mark.services
@pytest.mark.parametrize("kind", ["sqlite", "mysql"])
def test_json_that_is_spelled_in_two_ways_agrees_by_what_it_says(place: Make, kind: str) -> None:
    places = place(kind), place("postgresql")
    it = sides(
        places,
        ["CREATE TABLE notes (id INTEGER NOT NULL PRIMARY KEY, said JSON)"],
        ["CREATE TABLE notes (id INTEGER NOT NULL PRIMARY KEY, said jsonb)"],
        {"table": "notes"},
    )
    it.copied(
        [(key, json.dumps({"zz": [1.50, key], "a": {"é": None}}, indent=2)) for key in range(50)]
    )
    assert it.verify().agrees
    it.writes.execute("UPDATE notes SET said = '{\"a\": 1}' WHERE id = 7")
    assert told(it.verify()) == {(7,): "different"}


@pytest.mark.services
def test_postgresql_hashes_letters_and_not_what_a_collation_takes_for_them(place: Make) -> None:
    places = place("postgresql"), place("postgresql")
    table = "CREATE TABLE words (id int PRIMARY KEY, word text COLLATE loose, cents numeric(9,{}))"
    loose = (
        "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    )
    it = sides(places, [loose, table.format(2)], [loose, table.format(4)], {"table": "words"})
    it.copied([(1, "word", Decimal("1.50")), (2, "other", None)])
    assert it.verify().agrees
    it.writes.execute("UPDATE words SET word = 'WORD' WHERE id = 1")
    assert told(it.verify()) == {(1,): "different"}


@pytest.mark.services
@pytest.mark.parametrize("declared", ["LONGTEXT", "LONGBLOB"])
def test_a_row_longer_than_mysql_joins_is_still_compared(place: Make, declared: str) -> None:
    table = (
        f"CREATE TABLE files (id INTEGER NOT NULL PRIMARY KEY, one {declared}, other {declared})"
    )
    it = sides((place("mysql"), place("mysql")), [table], [table], {"table": "files"})
    letters = it.writes.scalar("SELECT @@max_allowed_packet") * 2 // 3
    fill = f"INSERT INTO files VALUES (1, REPEAT('a', {letters}), REPEAT('b', {letters}))"
    it.reads.execute(fill)
    it.writes.execute(fill)
    assert it.verify().agrees
    it.writes.execute("UPDATE files SET other = CONCAT('c', SUBSTR(other, 2))")
    (found,) = it.verify().differences
    assert [found.columns[at] for at in found.unlike] == ["other"]


def test_a_moment_long_ago_agrees(some: tuple[Place, Place]) -> None:
    stamp = {"sqlite": "DATETIME", "postgresql": "timestamp", "mysql": "datetime(6)"}
    tables = [
        f"CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, at {stamp[each.kind]})" for each in some
    ]
    it = sides(some, [tables[0]], [tables[1]], {"table": "t"})
    moments = [
        datetime(1969, 12, 31, 23, 59, 59, 900000),
        datetime(1900, 1, 1),
        datetime(9999, 12, 31, 23, 59, 59, 999999),
    ]
    it.copied(list(enumerate(moments)))
    assert it.verify().agrees
    write_rows(it.writes, it.pair.target, [(0, moments[0] + timedelta(microseconds=1))])
    assert told(it.verify()) == {(0,): "different"}


NAMED = (
    "CREATE TABLE posts (id BIGINT NOT NULL PRIMARY KEY, title VARCHAR(80) NOT NULL, "
    "author VARCHAR(80))"
)


@pytest.mark.parametrize("compare", [True, False])
def test_a_value_that_may_come_to_differ_is_copied_and_not_compared(
    some: tuple[Place, Place], compare: bool
) -> None:
    # The source's name is of another table, whose changes are no changes of the moved row.
    name = "(SELECT users.name FROM users WHERE users.id = author_id)"
    columns = {"id": "id", "title": "title", "author": {"sql": name, "compare": compare}}
    both = sides(
        some,
        [POSTS, "CREATE TABLE users (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(80))"],
        [NAMED],
        {"table": "posts", "columns": columns},
    )
    both.reads.execute("INSERT INTO users VALUES (7, 'Ann')")
    both.reads.execute("INSERT INTO posts (id, title, author_id) VALUES (1, 'one', 7)")
    both.writes.execute("INSERT INTO posts VALUES (1, 'one', 'Ann')")
    assert both.verify().agrees
    both.reads.execute("UPDATE users SET name = 'Anne' WHERE id = 7")
    assert both.verify().agrees is not compare
    both.writes.execute("UPDATE posts SET title = 'two' WHERE id = 1")
    report = both.verify()
    assert [each.unlike for each in report.differences] == [(1, 2) if compare else (1,)]
