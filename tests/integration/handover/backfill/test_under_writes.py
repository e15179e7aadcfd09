"""The first copy while writes go on: what it cannot bring over, the tail does."""

import random
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest
from sqlalchemy.engine import make_url

from strangler_proxy.handover.capture import Capture
from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.faults import (
    Clash,
)
from strangler_proxy.handover.loading.later import left_to
from strangler_proxy.handover.tail import Tail
from tests.integration.handover.backfill.copying import MOVE, Both, Side, both, database, served


def test_a_row_in_the_way_of_a_newer_one_leaves_that_one_to_the_tail(files) -> None:
    files.make("CREATE TABLE users (id INTEGER PRIMARY KEY, email VARCHAR(40) UNIQUE)")
    (pair,) = files.pairs("users")
    files.source.put(pair.source, [(n, f"{n}@example.com") for n in range(1, 1_000)])

    def rename(advance) -> None:
        if advance.rows and not files.later and not renamed:
            renamed.append(1)
            files.source.make(
                "UPDATE users SET email = 'gone' WHERE id = 5",
                "UPDATE users SET email = '5@example.com' WHERE id = 900",
            )

    renamed: list = []
    files.copy([pair], rename, rows_per_s=100_000.0, budget_s=0.001)
    assert files.later == [("users", (900,))]
    missing = set(files.source.rows(pair.source)) - set(files.target.rows(pair.target))
    assert {row[0] for row in missing} == {5, 900}


@pytest.mark.parametrize("kind", ["sqlite", served("postgresql"), served("mysql")])
def test_copied_while_it_is_written_to_and_tailed_then_it_is_equal(kind, tmp_path) -> None:
    with both(kind, kind, tmp_path) as two:
        two.make("CREATE TABLE users (id INTEGER PRIMARY KEY, email VARCHAR(40) UNIQUE)")
        (pair,) = two.pairs("users")
        two.source.put(pair.source, [(n * 3, f"{n}") for n in range(1, 1_500)])
        capture = Capture(two.source.database, MOVE, [pair.source])
        capture.install()
        with writing_meanwhile(two.source) as stop:
            later = left_to(capture, two.source.database)
            two.copy([pair], later=later, rows_per_s=2_000.0, budget_s=0.01)
            stop.set()
        tail_to_the_end(two, [pair], capture)
        two.assert_equal(pair)


@contextmanager
def writing_meanwhile(side: Side) -> Iterator[threading.Event]:
    """Rows are inserted, changed and deleted, and unique values handed on, by another thread."""
    stop, done = threading.Event(), []

    def write() -> None:
        rng, number = random.Random(5), 0
        with closing(side.database.session()) as session:
            while not stop.is_set():
                number += 1
                one, other = rng.sample(range(3, 4_500, 3), 2)
                for statement in (
                    f"INSERT INTO users VALUES ({rng.randrange(1_500) * 3 + 1}, 'new {number}')",
                    f"UPDATE users SET email = 'was {number}' WHERE id = {one}",
                    f"UPDATE users SET email = '{one // 3}' WHERE id = {other}",
                    f"DELETE FROM users WHERE id = {rng.randrange(1_500) * 3}",
                    f"UPDATE users SET id = {4_500 + number * 3} WHERE id = {other - 3}",
                ):
                    with suppress(Clash):  # the same number was drawn before
                        session.execute(statement)
                done.append(number)
                stop.wait(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield stop
    finally:
        stop.set()
        writer.join()
    assert len(done) > 10


def tail_to_the_end(two: Both, pairs, capture: Capture) -> None:
    sessions = (two.source.database.session(MOVE), two.target.database.session(MOVE))
    with closing(sessions[0]), closing(sessions[1]):
        tail = Tail(MOVE, pairs, capture, *sessions)
        while tail.step().entries:
            pass


@contextmanager
def a_modest_role(url: str) -> Iterator[str]:
    """The URL for a role that is nobody special: references are checked for it."""
    role = f"strangler_{uuid.uuid4().hex[:12]}"
    with closing(open_database(url).session()) as session:
        session.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")
        session.execute(f"GRANT ALL ON SCHEMA public TO {role}")
        try:
            where = make_url(url).set(username=role, password=role)
            yield where.render_as_string(hide_password=False)
        finally:
            session.execute(f"DROP OWNED BY {role}")
            session.execute(f"DROP ROLE {role}")


@pytest.mark.services
def test_where_references_are_checked_a_child_whose_parent_came_late_comes_by_the_tail(
    tmp_path,
) -> None:
    with ExitStack() as opened:
        source = Side("sqlite", opened.enter_context(database("sqlite", tmp_path)))
        opened.callback(source.session.close)
        url = opened.enter_context(
            a_modest_role(opened.enter_context(database("postgresql", tmp_path)))
        )
        target = Side("postgresql", url)
        opened.callback(target.session.close)
        assert target.session.enforces_references
        two = Both(source, target)
        two.make(
            "CREATE TABLE posts (id INTEGER PRIMARY KEY)",
            "CREATE TABLE comments (id INTEGER PRIMARY KEY, post_id INTEGER NOT NULL, "
            "FOREIGN KEY (post_id) REFERENCES posts (id))",
        )
        posts, comments = two.pairs("posts", "comments")
        source.put(posts.source, [(n,) for n in range(1, 300)])
        source.put(comments.source, [(n, 300 - n) for n in range(1, 300)])
        capture = Capture(source.database, MOVE, [posts.source, comments.source])
        capture.install()

        def write(advance) -> None:
            if advance.done and advance.table == "posts":
                source.make("INSERT INTO posts VALUES (1000)")
                source.make("UPDATE comments SET post_id = 1000 WHERE id = 150")

        two.copy([posts, comments], write, later=left_to(capture, source.database))
        assert len(target.rows(comments.target)) == 298
        tail_to_the_end(two, [posts, comments], capture)
        two.assert_equal(posts)
        two.assert_equal(comments)


@pytest.mark.services
@pytest.mark.parametrize("target", ["postgresql", "mysql"])
def test_children_of_parents_that_came_too_late_arrive_or_are_left_to_the_tail(
    target, tmp_path
) -> None:
    with both("sqlite", target, tmp_path) as two:
        two.make(
            "CREATE TABLE posts (id INTEGER PRIMARY KEY)",
            "CREATE TABLE comments (id INTEGER PRIMARY KEY, post_id INTEGER NOT NULL, "
            "FOREIGN KEY (post_id) REFERENCES posts (id))",
        )
        posts, comments = two.pairs("posts", "comments")
        two.source.put(posts.source, [(n,) for n in range(1, 300)])
        two.source.put(comments.source, [(n, 300 - n) for n in range(1, 300)])

        def write(advance) -> None:
            if advance.done and "posts" in advance.table:
                two.source.make("INSERT INTO posts VALUES (300)")
                two.source.make("INSERT INTO comments VALUES (300, 300)")

        two.copy([posts, comments], write)
        arrived = two.target.rows(comments.target)
        left = [key for _, key in two.later]
        assert [row for row in two.source.rows(comments.source) if (row[0],) not in left] == arrived
        assert left in ([], [(300,)])
