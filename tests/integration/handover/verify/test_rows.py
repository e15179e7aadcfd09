"""A verification matches rows by their keys, of any type: missing, extra and different ones."""

from __future__ import annotations

import uuid

import pytest

from strangler_proxy.handover.databases.port import Kind
from strangler_proxy.handover.verify import (
    Verifier,
)
from tests.integration.handover.conftest import Place
from tests.integration.handover.tables import write_rows
from tests.integration.handover.verify.sides import SMALL, Make, post, posts, sides, told

UTF8 = {"mysql": " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "postgresql": "", "sqlite": ""}


def test_rows_missing_extra_and_different_are_found_with_both_values(
    places: tuple[Place, Place],
) -> None:
    it = posts(places)
    it.writes.execute("DELETE FROM posts WHERE id IN (3, 499)")
    it.reads.execute("DELETE FROM posts WHERE id = 250")
    it.writes.execute("UPDATE posts SET price = 5.5 WHERE id = 10")
    it.writes.execute("UPDATE posts SET title = 'Title 77 A' WHERE id = 77")
    report = it.verify()
    assert told(report) == {
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
    assert told(it.verify()) == {("A",): "missing", ("é",): "different", ("tag 9",): "extra"}


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
    assert told(it.verify()) == {("A",): "missing"}
    # Asked for by key, MySQL answers 'A' with the row of 'a'.
    with Verifier(source.database, target.database, SMALL) as verifier:
        report = verifier.verify_keys([(it.pair, [("A",), ("a",), ("b",)])])
    assert told(report) == {("A",): "missing"}


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
    assert told(it.verify()) == {(1, "v222"): "missing", (7, "v"): "different"}


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
    write_rows(it.reads, it.pair.source, [post(1)])
    assert told(it.verify()) == {(1,): "missing"}


def test_rows_are_verified_by_key_alone(places: tuple[Place, Place]) -> None:
    it = posts(places)
    it.writes.execute("DELETE FROM posts WHERE id = 3")
    it.writes.execute("UPDATE posts SET author_id = 70 WHERE id IN (4, 5)")
    with Verifier(it.source.database, it.target.database, SMALL) as verifier:
        keys = [(3,), (4,), (4,), (6,), (9999,)]
        report = verifier.verify_keys([(it.pair, keys)])
        assert verifier.verify_keys([(it.pair, [])]).agrees
    assert told(report) == {(3,): "missing", (4,): "different"}
    assert report.rows == 4
