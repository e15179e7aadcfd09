"""Whatever commits a change of a moved table leaves an entry, and nothing else does."""

from __future__ import annotations

import pytest

from strangler_proxy.handover.capture import Capture
from strangler_proxy.handover.databases.port import Kind
from strangler_proxy.handover.faults import HandoverRefused
from tests.integration.handover.capture.capturing import MOVE, QUICK, Make, T, captured, keys, side
from tests.integration.handover.conftest import SERVERS, Place, kind_param


def test_each_change_leaves_one_entry_and_a_changed_key_two(here: Place) -> None:
    writer = here.writer(T)
    capture = captured(here, "t")
    writer.execute("INSERT INTO t VALUES (1, 1), (2, 2)")
    writer.execute("UPDATE t SET n = 5 WHERE id = 1")
    writer.execute("UPDATE t SET id = 3 WHERE id = 2")
    writer.execute("DELETE FROM t")
    assert [key for _, (key,) in keys(here, capture)][:5] == [1, 2, 1, 2, 3]
    assert sorted(key for _, (key,) in keys(here, capture)[5:]) == [1, 3]


def test_what_is_rolled_back_leaves_no_entry(here: Place) -> None:
    writer = here.writer(T)
    capture = captured(here, "t")

    def fail() -> None:
        with writer.transaction():
            writer.execute("INSERT INTO t VALUES (1, 1)")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert keys(here, capture) == []


def test_a_writer_is_told_the_number_of_its_own_row(here: Place) -> None:
    numbered, last = {
        "sqlite": ("INTEGER PRIMARY KEY", "SELECT last_insert_rowid()"),
        "postgresql": ("serial PRIMARY KEY", "SELECT lastval()"),
        "mysql": ("INTEGER AUTO_INCREMENT PRIMARY KEY", "SELECT LAST_INSERT_ID()"),
    }[here.kind]
    writer = here.writer(f"CREATE TABLE t (id {numbered}, n INTEGER)")
    capture = captured(here, "t")
    for number in range(1, 4):
        for _ in range(number):
            writer.execute("UPDATE t SET n = 1")
        assert writer.execute("INSERT INTO t (n) VALUES (0)") == 1
        assert writer.scalar(last) == number
    assert len(keys(here, capture)) > 3


def test_the_movers_own_writes_are_left_out_and_those_of_another_move_are_not(here: Place) -> None:
    here.writer(T)
    capture = captured(here, "t")
    mover, other = here.session(MOVE), here.session("another")
    with mover.transaction():
        mover.execute("INSERT INTO t VALUES (1, 1)")
    with other.transaction():
        other.execute("INSERT INTO t VALUES (2, 2)")
    assert keys(here, capture) == [("t", (2,))]


def test_entries_are_forgotten_one_by_one_and_no_other(here: Place) -> None:
    writer = here.writer(T)
    capture = captured(here, "t")
    writer.execute("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)")
    mover = here.session(MOVE)
    some = capture.entries(mover, 2)
    writer.execute("INSERT INTO t VALUES (4, 4)")
    capture.forget(mover, some)
    assert [key for _, (key,) in keys(here, capture)] == [3, 4]
    backlog = capture.backlog(mover)
    assert backlog.entries == 2
    assert backlog.oldest_at is not None
    assert 1.7e9 < backlog.oldest_at < 1e10


@pytest.mark.parametrize("kind", [kind_param(kind) for kind in SERVERS])
def test_a_low_number_that_commits_late_is_not_skipped(place: Make, kind: str) -> None:
    here = place(kind)
    slow, quick = here.writer(T), here.writer()
    capture = captured(here, "t")
    mover = here.session(MOVE)
    with slow.transaction():
        slow.execute("INSERT INTO t VALUES (1, 1)")
        quick.execute("INSERT INTO t VALUES (2, 2)")
        (high,) = capture.entries(mover, 10)
        assert high.key == (2,)
        capture.forget(mover, [high])
    (low,) = capture.entries(mover, 10)
    assert low.key == (1,)
    assert low.id < high.id


@pytest.mark.services
def test_truncate_poisons_on_postgresql(place: Make) -> None:
    here = place("postgresql")
    writer = here.writer(T, "INSERT INTO t VALUES (1, 1)")
    capture = captured(here, "t")
    writer.execute("TRUNCATE t")
    with pytest.raises(HandoverRefused, match=r"public\.t was truncated"):
        keys(here, capture)


@pytest.mark.services
def test_writers_without_rights_on_the_change_table_and_replicas_are_captured(place: Make) -> None:
    here = place("postgresql")
    writer = here.writer(T)
    capture = captured(here, "t")
    role = f"clerk_{here.url.rpartition('_')[2]}"
    writer.execute(f"CREATE ROLE {role}")
    try:
        writer.execute(f"GRANT SELECT, INSERT ON t TO {role}")
        writer.execute(f"SET ROLE {role}")
        writer.execute("SET search_path = pg_temp, public")
        writer.execute("INSERT INTO public.t VALUES (1, 1)")
        writer.execute("RESET ROLE")
        writer.execute("SET session_replication_role = replica")
        writer.execute("INSERT INTO public.t VALUES (2, 2)")
    finally:
        writer.execute("RESET ROLE")
        writer.execute(f"DROP OWNED BY {role}")
        writer.execute(f"DROP ROLE {role}")
    assert keys(here, capture) == [("t", (1,)), ("t", (2,))]


def test_rows_that_replace_removes_in_sqlite_are_captured(place: Make) -> None:
    here = place("sqlite")
    writer = here.writer(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER UNIQUE)",
        "CREATE TABLE names (name TEXT COLLATE NOCASE NOT NULL PRIMARY KEY)",
        "INSERT INTO t VALUES (1, 10), (2, 20)",
        "INSERT INTO names VALUES ('a')",
    )
    capture = Capture(
        here.database, MOVE, [side(writer, "t"), side(writer, "names", name=Kind.TEXT)]
    )
    capture.install(QUICK)
    writer.execute("INSERT OR REPLACE INTO t VALUES (3, 10)")
    writer.execute("UPDATE OR REPLACE t SET n = 20 WHERE id = 3")
    writer.execute("INSERT OR REPLACE INTO names VALUES ('A')")
    writer.execute("UPDATE t SET n = 21 WHERE id = 3")
    assert {key for name, (key,) in keys(here, capture) if name == "t"} == {1, 2, 3}
    assert [key for name, (key,) in keys(here, capture)][-3:] == ["a", "A", 3]


@pytest.mark.parametrize("kind", [kind_param("mysql"), kind_param("postgresql"), "sqlite"])
def test_rows_that_foreign_keys_delete_or_change_are_captured(place: Make, kind: str) -> None:
    here = place(kind)
    writer = here.writer(
        "CREATE TABLE users (id INTEGER NOT NULL PRIMARY KEY, n INTEGER)",
        "CREATE TABLE posts (id INTEGER NOT NULL PRIMARY KEY, user_id INTEGER, "
        "FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE)",
        "CREATE TABLE comments (id INTEGER NOT NULL PRIMARY KEY, post_id INTEGER, about INTEGER, "
        "FOREIGN KEY (post_id) REFERENCES posts (id) ON DELETE CASCADE, "
        "FOREIGN KEY (about) REFERENCES comments (id) ON DELETE SET NULL)",
        "INSERT INTO users VALUES (1, 0), (2, 0)",
        "INSERT INTO posts VALUES (10, 1), (20, 2)",
        "INSERT INTO comments VALUES (100, 10, NULL), (200, 20, NULL)",
        "UPDATE comments SET about = 100 WHERE id = 200",
    )
    capture = captured(here, "posts", "comments")
    writer.execute("UPDATE users SET n = 1")
    assert keys(here, capture) == []
    writer.execute("UPDATE users SET id = 3 WHERE id = 2")
    assert keys(here, capture) == [("posts", (20,))]
    writer.execute("DELETE FROM users WHERE id = 1")
    assert {*keys(here, capture)[1:]} == {
        ("posts", (10,)),
        ("comments", (100,)),
        ("comments", (200,)),
    }


@pytest.mark.services
def test_a_cascade_within_one_table_is_refused_on_mysql(place: Make) -> None:
    here = place("mysql")
    writer = here.writer(
        "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, up INTEGER, "
        "FOREIGN KEY (up) REFERENCES t (id) ON DELETE CASCADE)"
    )
    with pytest.raises(HandoverRefused, match="CASCADE comes back"):
        Capture(here.database, MOVE, [side(writer, "t")]).install(QUICK)
