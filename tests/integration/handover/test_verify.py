"""What a verification finds between two real databases, what it explains, and what it mends."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from strangler_proxy.handover.capture import Capture, Patience
from strangler_proxy.handover.databases import conversion, open_database
from strangler_proxy.handover.databases.port import Kind, Pair, Row, Session
from strangler_proxy.handover.faults import DatabaseUnreachable
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.pairing import pair_tables
from strangler_proxy.handover.tail import Tail
from strangler_proxy.handover.verify import (
    Limits,
    Report,
    Verifier,
    repair,
    verify,
)
from strangler_proxy.handover.verify.bisect import Sizes
from strangler_proxy.handover.waiting import waiting_keys
from tests.integration.handover.conftest import PAIRS, SERVERS, Place, kind_param, pair_param
from tests.integration.handover.tables import ROWS, WIDE, wide_side, write_rows

Make = Callable[[str], Place]
SMALL = Limits(looks=4, pause_s=0.01, statement_s=30, sizes=Sizes(64, 8, 64))
QUICK = Patience(lock_s=1.0, pause_s=0.01, whole_s=30.0)
UTF8 = {"mysql": " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "postgresql": "", "sqlite": ""}
POSTS = (
    "CREATE TABLE posts (id BIGINT NOT NULL PRIMARY KEY, title VARCHAR(80) NOT NULL, "
    "price DECIMAL(10, 2), author_id BIGINT)"
)


@dataclass
class Sides:
    """Two databases whose tables are paired."""

    source: Place
    target: Place
    reads: Session
    writes: Session
    pairs: tuple[Pair, ...]

    @property
    def pair(self) -> Pair:
        return self.pairs[0]

    def copied(self, rows: list[Row], which: int = 0) -> None:
        """These rows on both sides."""
        pair = self.pairs[which]
        for session, side in ((self.reads, pair.source), (self.writes, pair.target)):
            with session.transaction():
                write_rows(session, side, rows)

    def verify(self, limits: Limits = SMALL, **options: Any) -> Report:
        return verify(
            self.pairs, self.source.database, self.target.database, limits=limits, **options
        )

    def repair(self, report: Report, **options: Any) -> Report:
        databases = self.source.database, self.target.database
        return repair(report, self.pairs, *databases, mover="m", limits=SMALL, **options)


def sides(
    places: tuple[Place, Place], source: list[str], target: list[str], *tables: dict[str, Any]
) -> Sides:
    one, other = places
    # Without foreign keys: what is unlike on purpose may break them.
    reads, writes = one.session(), other.session("m")
    for session, statements in ((reads, source), (writes, target)):
        for statement in statements:
            session.execute(statement)
    move = Move.model_validate(
        {"name": "m", "source_env": "A", "target_env": "B", "tables": list(tables)}
    )
    return Sides(one, other, reads, writes, pair_tables(move, reads, writes))


@pytest.fixture(params=PAIRS)
def places(request: pytest.FixtureRequest, place: Make) -> tuple[Place, Place]:
    source, target = request.param
    return place(source), place(target)


SOME = [
    pair_param("sqlite", "sqlite"),
    pair_param("sqlite", "postgresql"),
    pair_param("postgresql", "mysql"),
    pair_param("postgresql", "postgresql"),
]


@pytest.fixture(params=SOME)
def some(request: pytest.FixtureRequest, place: Make) -> tuple[Place, Place]:
    source, target = request.param
    return place(source), place(target)


@pytest.fixture
def alike(place: Make) -> tuple[Place, Place]:
    return place("sqlite"), place("sqlite")


def posts(places: tuple[Place, Place], number: int = 500) -> Sides:
    it = sides(places, [POSTS], [POSTS], {"table": "posts"})
    it.copied([_post(key) for key in range(number)])
    return it


def _post(key: int) -> Row:
    price = None if key % 7 == 0 else Decimal(key * 10) / 100
    return (key, f"Title {key} ä", price, key % 10)


def _told(report: Report) -> dict[Row, str]:
    return {difference.key: difference.what for difference in report.differences}


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


def test_rows_missing_extra_and_different_are_found_with_both_values(
    places: tuple[Place, Place],
) -> None:
    it = posts(places)
    it.writes.execute("DELETE FROM posts WHERE id IN (3, 499)")
    it.reads.execute("DELETE FROM posts WHERE id = 250")
    it.writes.execute("UPDATE posts SET price = 5.5 WHERE id = 10")
    it.writes.execute("UPDATE posts SET title = 'Title 77 A' WHERE id = 77")
    report = it.verify()
    assert _told(report) == {
        (3,): "missing",
        (499,): "missing",
        (250,): "extra",
        (10,): "different",
        (77,): "different",
    }
    assert (report.total, report.complete, report.agrees) == (5, True, False)
    (ten,) = [each for each in report.differences if each.key == (10,)]
    assert ten.source == ("10", "Title 10 ä", "1", "0")
    assert ten.target == ("10", "Title 10 ä", "5.5", "0")
    assert [ten.columns[at] for at in ten.unlike] == ["price"]
    assert "price: source '1', target '5.5'" in str(report)


TEXT_KEY = "CREATE TABLE tags (name VARCHAR(60){} NOT NULL PRIMARY KEY, posts INTEGER)"
NAMES = [
    "a",
    "A",
    "ä",
    "Ä",
    "z",
    "Z",
    "ß",
    "ss",
    "😀",
    "a b",
    "a-b",
    "ab",
    "-",
    "_",
    "e\u0301",
    "é",
    "",
]


def test_text_keys_are_matched_by_their_bytes_however_a_side_orders_them(
    places: tuple[Place, Place],
) -> None:
    tables = [TEXT_KEY.format(UTF8[each.kind]) for each in places]
    it = sides(places, [tables[0]], [tables[1]], {"table": "tags"})
    names = NAMES + [f"tag {number}" for number in range(200)]
    it.copied([(name, at) for at, name in enumerate(names)])
    assert it.verify().agrees
    mark = it.writes.dialect.placeholder
    it.writes.execute(f"DELETE FROM tags WHERE name = {mark}", ("A",))
    it.writes.execute(f"UPDATE tags SET posts = -1 WHERE name = {mark}", ("é",))
    it.reads.execute(f"DELETE FROM tags WHERE name = {it.reads.dialect.placeholder}", ("tag 9",))
    assert _told(it.verify()) == {("A",): "missing", ("é",): "different", ("tag 9",): "extra"}


@pytest.mark.services
def test_a_row_that_a_collation_merged_with_another_is_missing(place: Make) -> None:
    source, target = place("postgresql"), place("mysql")
    it = sides(
        (source, target),
        [TEXT_KEY.format("")],
        [TEXT_KEY.format(" CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")],
        {"table": "tags"},
    )
    it.copied([("a", 1), ("b", 2)])
    it.writes.execute(
        "ALTER TABLE tags MODIFY name VARCHAR(60) CHARACTER SET utf8mb4 "
        "COLLATE utf8mb4_general_ci NOT NULL"
    )
    it.reads.execute("INSERT INTO tags VALUES ('A', 1)")
    assert _told(it.verify()) == {("A",): "missing"}
    # Asked for by key, MySQL answers 'A' with the row of 'a'.
    with Verifier(source.database, target.database, SMALL) as verifier:
        report = verifier.verify_keys([(it.pair, [("A",), ("a",), ("b",)])])
    assert _told(report) == {("A",): "missing"}


COMPOSITE = (
    "CREATE TABLE votes (blog INTEGER NOT NULL, voter VARCHAR(20){} NOT NULL, "
    "points INTEGER, PRIMARY KEY (blog, voter))"
)


def test_composite_keys_with_many_rows_of_one_beginning(some: tuple[Place, Place]) -> None:
    tables = [COMPOSITE.format(UTF8[each.kind]) for each in some]
    it = sides(some, [tables[0]], [tables[1]], {"table": "votes"})
    it.copied([(1, f"v{number}", number) for number in range(400)])
    it.copied([(blog, "v", 0) for blog in range(2, 20)])
    assert it.verify().agrees
    it.writes.execute("DELETE FROM votes WHERE blog = 1 AND voter = 'v222'")
    it.writes.execute("UPDATE votes SET points = 1 WHERE blog = 7")
    assert _told(it.verify()) == {(1, "v222"): "missing", (7, "v"): "different"}


UUID_TYPES = {"sqlite": "CHAR(32)", "postgresql": "uuid", "mysql": "char(36) COLLATE utf8mb4_bin"}


def test_uuid_keys(some: tuple[Place, Place]) -> None:
    tables = [
        f"CREATE TABLE files (id {UUID_TYPES[each.kind]} NOT NULL PRIMARY KEY, size INTEGER)"
        for each in some
    ]
    it = sides(some, [tables[0]], [tables[1]], {"table": "files"})
    keys = [uuid.uuid5(uuid.NAMESPACE_URL, str(number)) for number in range(300)]
    pair = it.pair
    if {cell.kind for cell in pair.source.key_cells} != {Kind.UUID}:
        keys = [key.hex for key in keys]  # two CHAR(32) of SQLite are text
    it.copied([(key, 1) for key in keys])
    assert it.verify().agrees
    it.writes.execute(
        "UPDATE files SET size = 2 WHERE id = (SELECT min_id FROM "
        "(SELECT id AS min_id FROM files ORDER BY id LIMIT 1) AS x)"
    )
    report = it.verify()
    assert [(each.what, each.unlike) for each in report.differences] == [("different", (1,))]


def test_an_empty_table_agrees_with_an_empty_table_alone(some: tuple[Place, Place]) -> None:
    it = posts(some, 0)
    assert it.verify().agrees
    write_rows(it.reads, it.pair.source, [_post(1)])
    assert _told(it.verify()) == {(1,): "missing"}


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
    assert _told(it.verify()) == {(7,): "different"}


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
    assert _told(it.verify()) == {(1,): "different"}


def test_a_report_lists_some_and_counts_all(alike: tuple[Place, Place]) -> None:
    it = posts(alike)
    it.writes.execute("DELETE FROM posts WHERE id < 300")
    report = it.verify(replace(SMALL, listed=7))
    assert (len(report.differences), report.total, report.complete) == (7, 300, True)
    assert "... and 293 more" in str(report)


def test_a_table_that_is_wrong_all_over_is_given_up(alike: tuple[Place, Place]) -> None:
    it = posts(alike)
    it.writes.execute("UPDATE posts SET author_id = -1")
    report = it.verify(replace(SMALL, most=50))
    assert not report.complete
    assert not report.agrees
    assert 50 <= report.total < 200
    assert "at least" in str(report)


def test_a_long_value_is_cut_in_the_report(alike: tuple[Place, Place]) -> None:
    table = "CREATE TABLE notes (id INTEGER NOT NULL PRIMARY KEY, said TEXT)"
    it = sides(alike, [table], [table], {"table": "notes"})
    it.copied([(1, "x" * 10_000)])
    it.writes.execute("UPDATE notes SET said = said || 'y'")
    (found,) = it.verify().differences
    assert found.source is not None
    assert len(found.source[1] or "") < 600
    assert "(10,000 characters)" in str(found)


# While writes go on.


@contextmanager
def captured(it: Sides) -> Iterator[tuple[Capture, Tail]]:
    capture = Capture(it.source.database, "m", [pair.source for pair in it.pairs])
    capture.install(QUICK)
    tail = Tail("m", it.pairs, capture, it.source.session("m"), it.target.session("m"))
    yield capture, tail


def _drain(tail: Tail) -> None:
    while tail.step().more:
        pass


def test_a_change_that_the_tail_brings_is_no_difference(some: tuple[Place, Place]) -> None:
    it = posts(some)
    with captured(it) as (capture, tail):
        it.reads.execute("UPDATE posts SET author_id = 99 WHERE id IN (5, 300)")
        it.reads.execute("DELETE FROM posts WHERE id = 7")
        write_rows(it.reads, it.pair.source, [_post(1000)])
        pending = waiting_keys(capture, it.source.session())
        report = it.verify(pending=pending, tail=lambda: _drain(tail))
    assert report.agrees, str(report)
    # The tail that ran for the first of them brought more than that one.
    assert 1 <= report.rechecked <= 4


def test_a_difference_is_stale_only_while_its_change_waits(some: tuple[Place, Place]) -> None:
    it = posts(some)
    with captured(it) as (capture, tail):
        it.writes.execute("UPDATE posts SET author_id = 99 WHERE id = 8")
        it.reads.execute("UPDATE posts SET author_id = 99 WHERE id = 5")
        pending = waiting_keys(capture, it.source.session())
        waits = it.verify(pending=pending)
        assert {each.key: each.stale for each in waits.differences} == {(5,): True, (8,): False}
        assert (waits.total, waits.stale, waits.agrees) == (2, 1, False)
        _drain(tail)
        report = it.verify(pending=pending)
    assert {each.key: each.stale for each in report.differences} == {(8,): False}


def test_under_writes_only_what_stays_different_is_reported(some: tuple[Place, Place]) -> None:
    it = posts(some)
    stop, wrote = threading.Event(), threading.Event()
    writer = it.source.session()

    def write() -> None:
        key = 0
        while not stop.is_set():
            key = (key + 37) % 500
            if key % 5 and key != 250:
                writer.execute(f"UPDATE posts SET author_id = author_id + 1 WHERE id = {key}")
            wrote.set()
            stop.wait(0.002)

    with captured(it) as (capture, tail):
        it.writes.execute("UPDATE posts SET title = 'wrong' WHERE id = 250")
        pending = waiting_keys(capture, it.source.session())
        thread = threading.Thread(target=write)
        thread.start()
        try:
            assert wrote.wait(10)
            began, rechecked = time.monotonic(), 0
            while rechecked == 0 and time.monotonic() < began + 20:
                limits = replace(SMALL, looks=40)
                report = it.verify(limits, pending=pending, tail=lambda: _drain(tail))
                assert _told(report) == {(250,): "different"}
                assert report.stale == 0
                rechecked += report.rechecked
        finally:
            stop.set()
            thread.join()
    assert rechecked


# By key, and repaired.


def test_rows_are_verified_by_key_alone(places: tuple[Place, Place]) -> None:
    it = posts(places)
    it.writes.execute("DELETE FROM posts WHERE id = 3")
    it.writes.execute("UPDATE posts SET author_id = 70 WHERE id IN (4, 5)")
    with Verifier(it.source.database, it.target.database, SMALL) as verifier:
        keys = [(3,), (4,), (4,), (6,), (9999,)]
        report = verifier.verify_keys([(it.pair, keys)])
        assert verifier.verify_keys([(it.pair, [])]).agrees
    assert _told(report) == {(3,): "missing", (4,): "different"}
    assert report.rows == 4


def test_listed_rows_are_copied_again_from_the_side_that_is_right(
    places: tuple[Place, Place],
) -> None:
    it = posts(places)
    it.writes.execute("DELETE FROM posts WHERE id IN (3, 4)")
    it.reads.execute("DELETE FROM posts WHERE id = 250")
    it.writes.execute("UPDATE posts SET price = 5.5 WHERE id = 10")
    report = it.verify()
    assert it.repair(report).agrees
    assert it.verify().agrees
    neutral = conversion.reading(it.reads.dialect, it.pair.source.cells)
    rows = neutral(it.reads.rows(it.reads.dialect.by_keys(it.pair.source, 3), (3, 10, 250)))
    assert sorted(rows) == [_post(3), _post(10)]


def test_repair_the_other_way_round(alike: tuple[Place, Place]) -> None:
    it = posts(alike)
    it.writes.execute("DELETE FROM posts WHERE id = 3")
    it.writes.execute("UPDATE posts SET title = 'newer' WHERE id = 10")
    assert it.repair(it.verify(), truth="target").agrees
    assert it.reads.rows("SELECT id, title FROM posts WHERE id IN (3, 10)") == [(10, "newer")]


PARENTS = "CREATE TABLE parents (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(20))"
CHILDREN = (
    "CREATE TABLE children (id INTEGER NOT NULL PRIMARY KEY, parent_id INTEGER NOT NULL, "
    "FOREIGN KEY (parent_id) REFERENCES parents (id))"
)


def test_several_tables_are_mended_in_the_order_of_their_references(
    some: tuple[Place, Place],
) -> None:
    tables = [PARENTS, CHILDREN]
    it = sides(some, tables, tables, {"table": "parents"}, {"table": "children"})
    it.copied([(1, "one"), (2, "two")], 0)
    it.copied([(10, 1), (20, 2)], 1)
    write_rows(it.reads, it.pairs[0].source, [(3, "three")])
    write_rows(it.reads, it.pairs[1].source, [(30, 3)])
    it.reads.execute("DELETE FROM children WHERE id = 20")
    it.reads.execute("DELETE FROM parents WHERE id = 2")
    report = it.verify()
    assert {(each.table.name, each.key, each.what) for each in report.differences} == {
        ("parents", (2,), "extra"),
        ("parents", (3,), "missing"),
        ("children", (20,), "extra"),
        ("children", (30,), "missing"),
    }
    assert it.repair(report).agrees
    assert it.verify().agrees


def test_a_repair_goes_on_from_what_the_row_is_now(alike: tuple[Place, Place]) -> None:
    it = posts(alike)
    it.writes.execute("UPDATE posts SET author_id = 70 WHERE id = 4")
    report = it.verify()
    it.reads.execute("DELETE FROM posts WHERE id = 4")
    assert it.repair(report).agrees
    assert it.writes.rows("SELECT id FROM posts WHERE id = 4") == []


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


@pytest.mark.parametrize("kind", [kind_param(kind) for kind in SERVERS])
def test_sessions_are_closed_when_a_side_cannot_be_reached(place: Make, kind: str) -> None:
    source = place(kind)
    here = source.session()
    with pytest.raises(DatabaseUnreachable):
        Verifier(source.database, open_database("sqlite:////nowhere/at/all.db"))
    processes = {
        "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()",
        "mysql": "SELECT count(*) FROM information_schema.processlist WHERE db = database()",
    }
    deadline = time.monotonic() + 10
    while here.scalar(processes[kind]) > 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert here.scalar(processes[kind]) == 1


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
    assert _told(it.verify()) == {(0,): "different"}


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
