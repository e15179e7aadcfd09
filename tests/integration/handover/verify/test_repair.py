"""Rows that a verification has listed are copied again from the side that is right."""

from __future__ import annotations

from strangler_proxy.handover.databases import conversion
from tests.integration.handover.conftest import Place
from tests.integration.handover.tables import write_rows
from tests.integration.handover.verify.sides import post, posts, sides


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
    assert sorted(rows) == [post(3), post(10)]


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
