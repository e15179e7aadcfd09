"""A fence refuses every way of writing, of every writer but the mover, and nothing else."""

from __future__ import annotations

import pytest

from strangler_proxy.handover.fence import Standing
from tests.integration.handover.conftest import KINDS, Place
from tests.integration.handover.fence.fenced import REFUSED, WRITES, Make, fence_of


@pytest.mark.parametrize("sql", WRITES)
def test_a_fence_that_is_up_or_shut_refuses_each_kind_of_write(here: Place, sql: str) -> None:
    fence, mover = fence_of(here)
    writer = here.writer()
    fence.raise_(mover, 60)
    with pytest.raises(Exception, match=r"posts is about to move .*'posts'"):
        writer.execute(sql)
    fence.shut(mover)
    with pytest.raises(Exception, match=r"posts takes no writes here.*lives elsewhere"):
        writer.execute(sql)
    assert writer.rows("SELECT * FROM posts ORDER BY id") == [(1, "one"), (2, "two")]
    fence.lift(mover)
    assert writer.execute(sql) == 1


def test_reads_and_other_tables_are_left_alone(here: Place) -> None:
    fence_of(here, shut=True)
    writer = here.writer("UPDATE other SET body = 'new'")
    assert writer.scalar("SELECT count(*) FROM posts") == 2


def test_the_mover_passes_and_a_mover_of_another_move_does_not(here: Place) -> None:
    fence, mover = fence_of(here, shut=True)
    with mover.transaction():
        mover.execute(WRITES[0])
    assert mover.scalar("SELECT count(*) FROM posts") == 3
    stranger = here.session("other_move")
    with pytest.raises(Exception, match=REFUSED), stranger.transaction():
        stranger.execute("DELETE FROM posts")
    assert fence.state(mover).standing == Standing.SHUT


@pytest.mark.parametrize("kind", [each for each in KINDS if each != "sqlite"])
def test_no_way_of_writing_leads_past_it(kind: str, place: Make) -> None:
    here = place(kind)
    here.writer(
        "CREATE TABLE parent (id INTEGER NOT NULL PRIMARY KEY)",
        "CREATE TABLE posts (id INTEGER NOT NULL PRIMARY KEY, body VARCHAR(40), parent INTEGER, "
        "FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE)",
        "INSERT INTO parent VALUES (1), (2)",
        "INSERT INTO posts VALUES (1, 'one', 1)",
    )
    fence_of(here, shut=True)
    writer = here.writer()
    ways = ["DELETE FROM parent WHERE id = 1", "UPDATE parent SET id = 3 WHERE id = 1"]
    if kind == "postgresql":
        ways += [
            "TRUNCATE posts",
            "INSERT INTO posts VALUES (1, 'x', 1) ON CONFLICT (id) DO UPDATE SET body = 'x'",
            "WITH gone AS (DELETE FROM posts RETURNING id) SELECT * FROM gone",
            "SET session_replication_role = replica; DELETE FROM posts",
        ]
    else:
        ways += [
            "REPLACE INTO posts VALUES (1, 'x', 1)",
            "INSERT IGNORE INTO posts (id) VALUES (9)",
        ]
    for way in ways:
        with pytest.raises(Exception, match=REFUSED):
            writer.execute(way)
    assert writer.rows("SELECT * FROM posts") == [(1, "one", 1)]
    # What reaches no fenced row may go.
    assert writer.execute("DELETE FROM parent WHERE id = 2") == 1


def test_sqlite_refuses_replace_ignore_and_cascades(place: Make) -> None:
    here = place("sqlite")
    writer = here.writer(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE posts (id INTEGER PRIMARY KEY, body VARCHAR(40) UNIQUE, "
        "parent INTEGER REFERENCES parent (id) ON DELETE CASCADE)",
        "INSERT INTO parent VALUES (1), (2)",
        "INSERT INTO posts VALUES (1, 'one', 1)",
    )
    fence_of(here, shut=True)
    for way in (
        "REPLACE INTO posts VALUES (2, 'one', 1)",
        "INSERT OR IGNORE INTO posts VALUES (2, 'two', 1)",
        "UPDATE OR IGNORE posts SET body = 'two'",
        "INSERT INTO posts VALUES (1, 'x', 1) ON CONFLICT (id) DO UPDATE SET body = 'x'",
        "DELETE FROM posts",
        "DELETE FROM parent WHERE id = 1",
    ):
        with pytest.raises(Exception, match=REFUSED):
            writer.execute(way)
    assert writer.rows("SELECT * FROM posts") == [(1, "one", 1)]
    assert writer.execute("DELETE FROM parent WHERE id = 2") == 1


@pytest.mark.services
def test_an_open_fence_changes_nothing_that_a_writer_is_told(place: Make) -> None:
    here = place("mysql")
    writer = here.writer(
        "CREATE TABLE posts (id INTEGER AUTO_INCREMENT PRIMARY KEY, body VARCHAR(40))"
    )

    def told() -> object:
        writer.rows("SELECT 1 UNION SELECT 2")
        writer.execute("INSERT INTO posts (body) VALUES ('a'), ('b')")
        counts = writer.rows("SELECT ROW_COUNT(), FOUND_ROWS(), @@warning_count")
        return counts, writer.scalar("SELECT LAST_INSERT_ID() IN (SELECT id FROM posts)")

    before = told()
    fence_of(here)
    assert told() == before
