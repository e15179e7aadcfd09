"""The first copy, with real databases: what arrives, what is refused, and what a kill leaves."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from strangler_proxy.handover.backfill import Limits, backfill
from strangler_proxy.handover.capture import Capture
from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.databases.conversion import reading, writing
from strangler_proxy.handover.databases.port import Kind
from strangler_proxy.handover.faults import (
    Clash,
    DatabaseUnreachable,
    HandoverFault,
    HandoverRefused,
)
from strangler_proxy.handover.loading.later import left_to
from strangler_proxy.handover.loading.sources import choose_source
from strangler_proxy.handover.loading.targets import choose_target
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.pairing import pair_tables
from strangler_proxy.handover.tail import Tail
from strangler_proxy.handover.throttle import Patience
from tests.services import scratch_database

MOVE = "blog"
KINDS = ["sqlite", "postgresql", "mysql"]


def served(*values: str):
    """Parameters of a test that needs servers."""
    return pytest.param(*values, marks=pytest.mark.services)


PAIRS = [(a, b) if a == b == "sqlite" else served(a, b) for a in KINDS for b in KINDS]
TYPES = {
    "sqlite": {
        "double": "REAL", "blob": "BLOB", "stamp": "TIMESTAMP", "uuid": "CHAR(36)", "json": "JSON",
        "text": "TEXT", "utf8": "", "uuid16": "BLOB",
    },
    "postgresql": {
        "double": "DOUBLE PRECISION", "blob": "BYTEA", "stamp": "TIMESTAMP(6)", "uuid": "UUID",
        "json": "JSONB", "text": "TEXT", "utf8": "", "uuid16": "BYTEA",
    },
    "mysql": {
        "double": "DOUBLE", "blob": "LONGBLOB", "stamp": "DATETIME(6)", "json": "JSON",
        "uuid": "CHAR(36) COLLATE utf8mb4_bin", "text": "LONGTEXT", "utf8": " COLLATE utf8mb4_bin",
        "uuid16": "BINARY(16)",
    },
}  # fmt: skip
THINGS = """CREATE TABLE things (
    id INTEGER PRIMARY KEY, label VARCHAR(200) NOT NULL, words {text}, amount DECIMAL(12, 3),
    bytes {blob}, flag BOOLEAN, moment {stamp}, day DATE, ident {uuid},
    doubled INTEGER GENERATED ALWAYS AS (id * 2) STORED)"""
PAGED = {
    "composite": "CREATE TABLE paged (area VARCHAR(20){utf8} NOT NULL, number INTEGER NOT NULL, "
    "words {text}, PRIMARY KEY (area, number))",
    "uuid": "CREATE TABLE paged (area {uuid} NOT NULL PRIMARY KEY, number INTEGER, words {text})",
    "uuid16": "CREATE TABLE paged (area {uuid16} NOT NULL PRIMARY KEY, number INTEGER, "
    "words {text})",
    "text": "CREATE TABLE paged (area VARCHAR(60){utf8} NOT NULL PRIMARY KEY, number INTEGER, "
    "words {text})",
    "float": "CREATE TABLE paged (area VARCHAR(60){utf8} NOT NULL PRIMARY KEY, number {double}, "
    "words {json})",
}
AWKWARD = [
    "", " ", "\\N", "\\", "\\\\", "\\.", "a\tb\nc\r\nd", "é ü 漢字 😀", "100%", "%s", "'quoted\"",
    "NULL", "\x01\x0b\x0c\x1a\x7f", "C:\\new\\fine\\video\\t", "{}", "\u2028", "x" * 5000,
]  # fmt: skip


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        path = folder / f"{uuid.uuid4().hex}.db"
        path.touch()
        yield f"sqlite:///{path}"
    else:
        with scratch_database(kind) as url:
            yield url


MEANT = {
    "id": Kind.INTEGER, "label": Kind.TEXT, "words": Kind.TEXT, "amount": Kind.DECIMAL,
    "bytes": Kind.BINARY, "flag": Kind.BOOLEAN, "moment": Kind.TIMESTAMP, "day": Kind.DATE,
    "ident": Kind.UUID, "at": Kind.TIMESTAMP, "price": Kind.DECIMAL,
}  # fmt: skip


def meant(side, **kinds):
    """A side with the kinds that the tests mean: two alike may agree on a simpler one."""
    kinds = MEANT | kinds
    cells = tuple(replace(cell, kind=kinds.get(cell.name, cell.kind)) for cell in side.cells)
    return replace(side, cells=cells)


class Side:
    """A database for tests."""

    def __init__(self, kind: str, url: str) -> None:
        self.url = url
        self.types = TYPES[kind]
        self.database = open_database(url)
        self.session = self.database.session()

    def make(self, *statements: str) -> None:
        for statement in statements:
            self.session.execute(statement.format(**self.types).replace("%", "%%"))

    def put(self, side, rows, **kinds) -> None:
        dialect, side = self.session.dialect, meant(side, **kinds)
        with self.session.transaction():
            self.session.execute_many(dialect.insert(side), writing(dialect, side.cells)(rows))

    def rows(self, side, **kinds) -> list:
        dialect, side = self.session.dialect, meant(side, **kinds)
        found = self.session.rows(dialect.page(side, after=False, rows=10**6))
        return sorted(reading(dialect, side.cells)(found), key=side.key_of)


class Both:
    """Source and target with the same tables; copies between them and compares."""

    def __init__(self, source: Side, target: Side) -> None:
        self.source, self.target = source, target
        self.later: list = []
        self.told: list = []

    def make(self, *statements: str) -> None:
        for side in (self.source, self.target):
            side.make(*statements)

    def pairs(self, *tables: str):
        declared = [{"table": table} for table in tables]
        move = Move.model_validate(
            {"name": MOVE, "source_env": "A", "target_env": "B", "routes": [], "tables": declared}
        )
        return pair_tables(move, self.source.session, self.target.session)

    def leave(self, pair, key) -> None:
        self.later.append((pair.source.table.name.name, key))

    def copy(self, pairs, report=None, source=None, later=None, **limits) -> None:
        backfill(
            pairs,
            source or self.source.database,
            self.target.database,
            MOVE,
            later or self.leave,
            report or self.told.append,
            Limits(**limits),
        )

    def assert_equal(self, pair, **kinds) -> None:
        assert self.target.rows(pair.target, **kinds) == self.source.rows(pair.source, **kinds)


@contextmanager
def both(source: str, target: str, folder: Path) -> Iterator[Both]:
    with ExitStack() as opened:
        sides = []
        for kind in (source, target):
            side = Side(kind, opened.enter_context(database(kind, folder)))
            opened.callback(side.session.close)
            sides.append(side)
        yield Both(*sides)


@pytest.fixture
def files(tmp_path) -> Iterator[Both]:
    with both("sqlite", "sqlite", tmp_path) as two:
        yield two


def things(count: int) -> list:
    rng = random.Random(7)
    rows = []
    for number in range(1, count + 1):
        words = AWKWARD[number % len(AWKWARD)]
        values = [
            f"label {number}",
            words,
            Decimal(rng.randrange(-(10**8), 10**8)) / 1000,
            words.encode() + bytes([0, 255]),
            rng.random() < 0.5,
            datetime(1999, 12, 31) + timedelta(microseconds=rng.randrange(10**15)),
            date(1900, 1, 1) + timedelta(days=rng.randrange(80_000)),
            uuid.UUID(int=rng.getrandbits(128)),
        ]
        for place in range(1, len(values)):
            if rng.random() < 0.1:
                values[place] = None
        rows.append((number * 3, *values))
    return rows


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_value_arrives_as_it_was(source, target, tmp_path) -> None:
    with both(source, target, tmp_path) as two:
        two.make(THINGS)
        (pair,) = two.pairs("things")
        two.source.put(pair.source, things(900))
        two.copy([pair])
        two.assert_equal(pair)
        assert len(two.target.rows(pair.target)) == 900
        assert two.told[-1].done
        assert two.told[-1].rows == 900
        assert len(two.told) > 3  # several pages
        assert not two.later


@pytest.mark.parametrize("shape", PAGED)
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_keys_of_every_type_are_paged_to_the_end(source, target, shape, tmp_path) -> None:
    with both(source, target, tmp_path) as two:
        two.make(PAGED[shape])
        (pair,) = two.pairs("paged")
        rng, rows, exact = random.Random(3), [], shape == "float"
        for number in range(700):
            area = {
                "composite": "aAbBéß_-% "[number % 9] * 2,
                "uuid": uuid.UUID(int=rng.getrandbits(128)),
                "uuid16": uuid.UUID(int=rng.getrandbits(128)),
            }.get(shape, f"{rng.choice('aAbBzZéÉß_- ')}{rng.randrange(10**9)}")
            rows.append((area, rng.random() if exact else number, '{"a": 1}' if exact else "w"))
        kinds = {"area": Kind.UUID} if "uuid" in shape else {}
        if exact:
            kinds |= {"number": Kind.FLOAT, "words": Kind.JSON}
        two.source.put(pair.source, rows, **kinds)
        two.copy([pair], budget_s=0.01)
        two.assert_equal(pair, **kinds)
        assert len(two.target.rows(pair.target, **kinds)) == 700


@pytest.mark.parametrize(
    ("source", "target", "reads", "loads"),
    [
        ("sqlite", "sqlite", "ComposingSource", "StatementTarget"),
        served("sqlite", "postgresql", "ComposingSource", "CopyTarget"),
        served("postgresql", "postgresql", "CopySource", "CopyTarget"),
        served("mysql", "mysql", "ComposingSource", "InfileTarget"),
    ],
)
def test_an_ordinary_table_takes_the_fast_way(source, target, reads, loads, tmp_path) -> None:
    with both(source, target, tmp_path) as two:
        two.make(THINGS)
        (pair,) = two.pairs("things")
        two.source.put(pair.source, things(300))
        found = choose_source(two.source.session, pair, two.target.session.dialect)
        assert type(found).__name__ == reads
        if reads == "ComposingSource":
            found.page(None, 300)
            assert found._exact
        assert type(choose_target(two.target.session, pair.target)).__name__ == loads


def test_a_target_with_rows_is_merged_into(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    (pair,) = files.pairs("posts")
    files.source.put(pair.source, [(number, "new") for number in range(1, 500)])
    files.target.put(pair.target, [(3, "old"), (1_000, "only here")])
    files.copy([pair])
    rows = dict(files.target.rows(pair.target))
    assert rows.pop(1_000) == "only here"  # verify's affair
    assert rows == dict(files.source.rows(pair.source))


def test_what_is_copied_is_not_copied_again(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    (pair,) = files.pairs("posts")
    files.source.put(pair.source, [(1, "a")])
    files.copy([pair])
    files.target.make("DELETE FROM posts")
    files.copy([pair])
    assert files.target.rows(pair.target) == []


def test_an_empty_table_is_done_at_once(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    files.copy(files.pairs("posts"))
    assert [(advance.rows, advance.done) for advance in files.told] == [(0, False), (0, True)]


@pytest.mark.services
def test_values_stored_oddly_are_read_one_by_one(tmp_path) -> None:
    with both("sqlite", "postgresql", tmp_path) as two:
        two.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, at {stamp}, price NUMERIC(10, 2))")
        (pair,) = two.pairs("posts")
        rows = [(n, datetime(2024, 1, 1), Decimal("1.5")) for n in range(400)]
        two.source.put(pair.source, rows)
        two.source.make("UPDATE posts SET at = '2024-01-01T12:00:00+02:00' WHERE id = 390")
        two.copy([pair])
        two.assert_equal(pair)
        assert two.target.rows(pair.target)[390][1] == datetime(2024, 1, 1, 10)


def test_a_value_of_another_kind_is_refused_by_its_row_and_what_was_copied_stays(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, likes INTEGER)")
    (pair,) = files.pairs("posts")
    files.source.put(pair.source, [(n, n * 2) for n in range(1, 1_000)])
    files.source.make("UPDATE posts SET likes = 'many' WHERE id = 700")
    with pytest.raises(HandoverRefused, match=r"table posts, row 700: column .likes.*many"):
        files.copy([pair])
    assert files.target.rows(pair.target)
    files.source.make("UPDATE posts SET likes = NULL WHERE id = 700")
    files.copy([pair])
    files.assert_equal(pair)


@pytest.mark.services
@pytest.mark.parametrize("target", ["postgresql", "mysql"])
def test_a_text_without_room_is_refused_and_never_cut_off(target, tmp_path) -> None:
    with both("sqlite", target, tmp_path) as two:
        two.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body VARCHAR(5))")
        (pair,) = two.pairs("posts")
        rows = [(number, "short") for number in range(1, 300)]
        two.source.put(pair.source, [*rows, (300, "too long")])
        with pytest.raises(HandoverRefused, match="table posts, row 300: "):
            two.copy([pair])
        assert two.target.rows(pair.target) == rows


@pytest.mark.services
def test_a_text_that_postgresql_cannot_hold_is_refused_by_its_row(tmp_path) -> None:
    with both("sqlite", "postgresql", tmp_path) as two:
        two.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
        (pair,) = two.pairs("posts")
        two.source.put(pair.source, [(1, "fine"), (2, "nul\0here"), (3, "fine")])
        with pytest.raises(HandoverRefused, match=r"table posts, row 2: .*(NUL|0x00)"):
            two.copy([pair])


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


def test_rows_of_megabytes_are_read_a_few_at_a_time(files) -> None:
    files.make("CREATE TABLE pictures (id INTEGER PRIMARY KEY, bytes BLOB)")
    (pair,) = files.pairs("pictures")
    files.source.put(pair.source, [(n, bytes([n]) * 500_000) for n in range(1, 120)])
    files.copy([pair])
    files.assert_equal(pair)
    steps = [advance.rows for advance in files.told if advance.rows and not advance.done]
    # A look at the weight comes every 50 rows; afterwards pages are as small as they must be.
    assert max(after - before for before, after in pairwise(steps)) <= 50
    assert len(steps) >= 3


def test_a_table_that_grows_as_fast_as_it_is_copied_has_an_end(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    (pair,) = files.pairs("posts")
    files.source.put(pair.source, [(n, "x") for n in range(1, 1_001)])

    def grow(advance) -> None:
        first = files.source.session.scalar("SELECT max(id) + 1 FROM posts")
        files.source.put(pair.source, [(n, "x") for n in range(first, first + 2_000)])
        assert first < 100_000

    files.copy([pair], grow)
    assert 1_000 <= len(files.target.rows(pair.target)) < len(files.source.rows(pair.source))


def test_ctrl_c_leaves_a_checkpoint_to_go_on_from_and_no_thread(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    (pair,) = files.pairs("posts")
    files.source.put(pair.source, [(n, "x") for n in range(1, 5_000)])

    def interrupt(advance) -> None:
        if advance.rows > 400:
            raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        files.copy([pair], interrupt)
    assert threading.active_count() == before
    assert checkpoint(files) == len(files.target.rows(pair.target)) > 400
    files.copy([pair])
    files.assert_equal(pair)


class Dying:
    """A source that goes away after some pages."""

    kind = "sqlite"
    shown = "the source"

    def __init__(self, real, pages: int) -> None:
        self._real = real
        self._pages = pages
        self.dialect = real.dialect

    def session(self, mover=None, statement_s=60.0):
        session = self._real.session(mover, statement_s)
        stream = session.stream

        def dying(*arguments):
            self._pages -= 1
            if self._pages < 0:
                raise DatabaseUnreachable("the source went away")
            return stream(*arguments)

        session.stream = dying
        return session


def test_a_source_that_goes_away_ends_both_threads_and_keeps_what_was_read(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    (pair,) = files.pairs("posts")
    files.source.put(pair.source, [(n, "x") for n in range(1, 5_000)])
    before = threading.active_count()
    with pytest.raises(DatabaseUnreachable, match="went away"):
        files.copy([pair], source=Dying(files.source.database, 2))
    assert threading.active_count() == before
    assert checkpoint(files) == len(files.target.rows(pair.target)) >= 400


def test_a_probe_makes_it_wait_and_then_go_on(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    (pair,) = files.pairs("posts")
    files.source.put(pair.source, [(1, "x")])
    answers = [0.001, 0.001]
    files.copy([pair], patience=Patience((lambda: answers.pop() if answers else 0.0,)))
    assert [advance.waiting for advance in files.told] == [False, True, True, False, False]
    files.assert_equal(pair)


def test_a_probe_that_never_relents_ends_it_with_a_sentence(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    files.make("INSERT INTO posts VALUES (1, 'x')")
    pairs, patience = files.pairs("posts"), Patience((lambda: 0.01,), longest_s=0.05)
    with pytest.raises(HandoverFault, match="told to wait"):
        files.copy(pairs, patience=patience)


def checkpoint(two: Both) -> int:
    return two.target.session.scalar(f"SELECT moved_rows FROM strangler_{MOVE}_checkpoint")


ROWS = 20_000
KILLS = 20
RUN = "from tests.integration.handover.test_backfill import main; main()"


def main() -> None:
    """A mover in a process of its own, for those that are killed."""
    source, target = (open_database(os.environ[name]) for name in ("SOURCE", "TARGET"))
    two = Both.__new__(Both)
    two.later = []
    with closing(source.session()) as first, closing(target.session()) as second:
        two.source, two.target = (Side.__new__(Side) for _ in range(2))
        two.source.session, two.target.session = first, second
        two.source.database, two.target.database = source, target
        pairs = two.pairs("posts")
    two.copy(
        pairs,
        lambda _: (sys.stdout.write("page\n"), sys.stdout.flush()),
        rows_per_s=15_000.0,
        budget_s=0.01,
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def test_killed_at_any_moment_it_goes_on_without_loss_or_duplicates(kind, tmp_path) -> None:
    with both(kind, kind, tmp_path) as two:
        two.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
        (pair,) = two.pairs("posts")
        two.source.put(pair.source, [(n, f"post {n}" * 10) for n in range(1, ROWS + 1)])
        environment = {**os.environ, "SOURCE": two.source.url, "TARGET": two.target.url}
        rng, killed = random.Random(11), 0
        while killed < KILLS:
            if not run_and_kill(environment, rng.uniform(0, 0.08)):
                break
            killed += 1
            assert checkpoint(two) == count(two)
        assert killed == KILLS
        assert 0 < count(two) < ROWS
        two.copy([pair])
        two.assert_equal(pair)
        assert checkpoint(two) == count(two) == ROWS


def count(two: Both) -> int:
    return two.target.session.scalar("SELECT count(*) FROM posts")


def run_and_kill(environment: dict, after_s: float) -> bool:
    """Run a mover, kill it so long after its first page; False when it had ended by itself."""
    command = [sys.executable, "-c", RUN]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as mover:
        assert mover.stdout
        mover.stdout.readline()
        time.sleep(after_s)  # what is tested: any moment, not one that is waited for
        mover.send_signal(signal.SIGKILL)
        mover.stdout.read()
    return mover.returncode == -signal.SIGKILL
