"""A fence refuses every writer but the mover, waits for who has passed, and lapses by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest

from strangler_proxy.handover.capture import Capture, Patience
from strangler_proxy.handover.databases.port import Kind, Session, Side, TableName
from strangler_proxy.handover.faults import DatabaseUnreachable, HandoverRefused, LockBusy
from strangler_proxy.handover.fence import Fence, Standing
from tests.integration.handover.conftest import KINDS, Place
from tests.integration.handover.tables import side_of
from tests.wire_tools.proxy import until

Make = Callable[[str], Place]
MOVE = "posts"
QUICK = Patience(lock_s=1.0, pause_s=0.01, whole_s=10.0)
REFUSED = r"(about to move|lives elsewhere)"
LEVELS = {
    "sqlite": [""],
    "postgresql": ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"],
    "mysql": ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"],
}


@pytest.fixture(params=KINDS)
def here(request: pytest.FixtureRequest, place: Make) -> Place:
    made = place(request.param)
    made.writer(
        "CREATE TABLE posts (id INTEGER NOT NULL PRIMARY KEY, body VARCHAR(40))",
        "CREATE TABLE other (id INTEGER NOT NULL PRIMARY KEY, body VARCHAR(40))",
        "INSERT INTO posts VALUES (1, 'one'), (2, 'two')",
        "INSERT INTO other VALUES (1, 'one')",
    )
    return made


def side(session: Session, name: str = "posts") -> Side:
    table = session.describe(TableName(None, name))
    return side_of(session, table, {"id": Kind.INTEGER, "body": Kind.TEXT}, table.primary_key)


def fence_of(here: Place, *, shut: bool = False) -> tuple[Fence, Session]:
    mover = here.session(MOVE)
    fence = Fence(here.database, MOVE, [side(mover)])
    fence.install(shut=shut, patience=QUICK)
    return fence, mover


def nothing(_: Session) -> bool:
    return False


def begin(session: Session, level: str = "") -> None:
    if session.dialect.kind == "postgresql":
        session.execute(f"BEGIN ISOLATION LEVEL {level or 'READ COMMITTED'}")
    elif session.dialect.kind == "mysql":
        session.execute(f"SET TRANSACTION ISOLATION LEVEL {level or 'REPEATABLE READ'}")
        session.execute("START TRANSACTION")
    else:
        session.execute("BEGIN")


@contextmanager
def beside(act: Callable[[], object]) -> Iterator[Future[object]]:
    """Another thread, whose answer is waited for at the end."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(act)


def lapse(mover: Session) -> None:
    """As if its time had come."""
    mover.execute("UPDATE strangler_posts_fence SET until = 1 WHERE id = 1")


WRITES = [
    "INSERT INTO posts VALUES (3, 'three')",
    "UPDATE posts SET body = 'x' WHERE id = 1",
    "DELETE FROM posts WHERE id = 1",
]


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


def test_a_transaction_that_has_written_is_waited_for(here: Place) -> None:
    fence, mover = fence_of(here)
    for level in LEVELS[here.kind]:
        writer = here.writer()
        begin(writer, level)
        writer.execute("UPDATE posts SET body = 'late' WHERE id = 1")
        with beside(lambda: fence.raise_(mover, 60, wait_s=10)) as raised:
            with pytest.raises(TimeoutError):
                raised.result(timeout=0.3)
            writer.execute("UPDATE posts SET body = 'later' WHERE id = 2")
            writer.execute("COMMIT")
            raised.result(timeout=10)
        assert fence.state(mover).standing == Standing.UP
        assert writer.scalar("SELECT body FROM posts WHERE id = 2") == "later"
        fence.lift(mover)


def test_a_transaction_begun_before_and_writing_after_is_refused(here: Place) -> None:
    fence, mover = fence_of(here)
    for level in LEVELS[here.kind]:
        writer = here.writer()
        begin(writer, level)
        if not (here.kind == "mysql" and level == "SERIALIZABLE"):
            writer.scalar("SELECT body FROM other")
            writer.scalar("SELECT body FROM posts WHERE id = 1")  # its snapshot has the open fence
        fence.raise_(mover, 60)
        with pytest.raises(Exception, match=rf"{REFUSED}|serialize|locked"):
            writer.execute("UPDATE posts SET body = 'late' WHERE id = 2")
        writer.execute("ROLLBACK")
        assert mover.scalar("SELECT body FROM posts WHERE id = 2") == "two"
        fence.lift(mover)


def test_a_writer_that_does_not_end_leaves_the_fence_as_it_was(here: Place) -> None:
    fence, mover = fence_of(here)
    writer = here.writer()
    begin(writer)
    writer.execute(WRITES[1])
    with pytest.raises(LockBusy):
        fence.raise_(mover, 60, wait_s=0.2)
    assert fence.state(mover).standing == Standing.OPEN
    assert not fence.make_permanent(mover, nothing)
    writer.execute("COMMIT")
    fence.raise_(mover, 60)


def test_who_was_refused_and_stays_in_its_transaction_stops_nobody(here: Place) -> None:
    fence, mover = fence_of(here)
    fence.raise_(mover, 60)
    for level in LEVELS[here.kind]:
        if here.kind == "mysql" and level == "SERIALIZABLE":
            continue  # every reading locks there
        writer = here.writer()
        begin(writer, level)
        with pytest.raises(Exception, match=REFUSED):
            writer.execute(WRITES[0])
        if here.kind == "sqlite":
            writer.execute("ROLLBACK")  # it has the only write lock there is
    assert fence.make_permanent(mover, nothing, wait_s=0.2)


def test_it_lapses_by_the_databases_own_clock(here: Place) -> None:
    fence, mover = fence_of(here)
    writer = here.writer()
    fence.raise_(mover, 0.3)
    left = fence.state(mover).seconds_left
    assert 0 < left <= 0.3
    until(lambda: fence.state(mover).standing == Standing.LAPSED, "it lapses")
    assert writer.execute(WRITES[0]) == 1
    assert not fence.make_permanent(mover, nothing)
    assert fence.state(mover).standing == Standing.LAPSED
    fence.raise_(mover, 60)
    assert fence.state(mover).standing == Standing.UP


def test_time_spent_waiting_is_taken_from_its_time(here: Place) -> None:
    fence, mover = fence_of(here)
    writer = here.writer()
    begin(writer)
    writer.execute(WRITES[0])
    with beside(lambda: fence.raise_(mover, 1.5, wait_s=10)) as raised:
        with pytest.raises(TimeoutError):
            raised.result(timeout=0.5)
        writer.execute("COMMIT")
        raised.result(timeout=10)
    assert fence.state(mover).seconds_left < 1.01


def test_the_decision_asks_the_change_table_with_every_writer_kept_out(here: Place) -> None:
    fence, mover = fence_of(here)
    capture = Capture(here.database, MOVE, [side(mover)])
    capture.install(QUICK)

    def pending(session: Session) -> bool:
        return capture.backlog(session).entries > 0

    writer = here.writer(WRITES[0])
    fence.raise_(mover, 60)
    assert not fence.make_permanent(mover, pending)
    assert fence.state(mover).standing == Standing.UP
    capture.forget(mover, capture.entries(mover, 10))
    assert fence.make_permanent(mover, pending)
    assert fence.state(mover).standing == Standing.SHUT
    with pytest.raises(Exception, match="lives elsewhere"):
        writer.execute(WRITES[1])
    assert fence.state(mover).standing == Standing.SHUT
    assert not fence.make_permanent(mover, pending)


def test_a_fence_that_lapses_while_the_change_table_is_looked_at_is_not_shut(here: Place) -> None:
    fence, mover = fence_of(here)
    fence.raise_(mover, 60)

    def slow(session: Session) -> bool:
        lapse(session)
        return False

    assert not fence.make_permanent(mover, slow)
    assert fence.state(mover).standing == Standing.LAPSED


def test_a_fault_in_the_decision_changes_nothing(here: Place) -> None:
    fence, mover = fence_of(here)
    fence.raise_(mover, 60)
    with pytest.raises(ZeroDivisionError):
        fence.make_permanent(mover, lambda _: 1 // 0 == 1)
    assert fence.state(mover).standing == Standing.UP
    assert fence.make_permanent(mover, nothing)


def test_a_writer_who_passed_a_lapsed_fence_is_seen_though_the_clock_steps_back(
    here: Place,
) -> None:
    fence, mover = fence_of(here)
    fence.raise_(mover, 60)
    lapse(mover)
    writer = here.writer()
    begin(writer)
    writer.execute(WRITES[0])
    if here.kind == "postgresql":  # elsewhere the row itself is kept by the writer
        mover.execute("UPDATE strangler_posts_fence SET until = 1e12 WHERE id = 1")
    assert not fence.make_permanent(mover, nothing, wait_s=0.1)
    writer.execute("COMMIT")


def test_two_movers_cannot_both_decide(here: Place) -> None:
    fence, mover = fence_of(here)
    second = here.session(MOVE)
    fence.raise_(mover, 60)
    fence.raise_(second, 60)
    at_once = threading.Barrier(2, timeout=10)

    def decide(session: Session) -> bool:
        at_once.wait()
        return fence.make_permanent(session, nothing, wait_s=5)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(decide, [mover, second])) == [False, True]
    assert fence.state(mover).standing == Standing.SHUT


def test_writers_who_lock_each_other_under_a_rising_fence_all_end(here: Place) -> None:
    if here.kind == "sqlite":
        pytest.skip("one connection writes at a time there")
    fence, mover = fence_of(here)
    first, second = here.writer(), here.writer()
    begin(second)
    second.execute("UPDATE other SET body = 'second' WHERE id = 1")
    begin(first)
    first.execute("UPDATE posts SET body = 'first' WHERE id = 1")

    def write(session: Session, sql: str) -> str:
        try:
            session.execute(sql)
        except Exception as fault:  # noqa: BLE001 - each driver has its own
            session.execute("ROLLBACK")
            return str(fault)
        session.execute("COMMIT")
        return "written"

    with ThreadPoolExecutor(3) as pool:
        raised = pool.submit(fence.raise_, mover, 60, 15.0)
        with pytest.raises(TimeoutError):
            raised.result(timeout=0.3)
        # `second` waits behind the mover, the mover for `first`, and that for `second`.
        behind = pool.submit(write, second, "UPDATE posts SET body = 'second' WHERE id = 2")
        ahead = pool.submit(write, first, "UPDATE other SET body = 'first' WHERE id = 1")
        assert ahead.result(timeout=20) == "written"
        behind.result(timeout=20)
        raised.result(timeout=20)
    assert fence.state(mover).standing == Standing.UP


def test_installing_again_leaves_the_state_and_mends_what_is_missing(here: Place) -> None:
    fence, mover = fence_of(here, shut=True)
    assert not fence.missing(mover)
    fence.lift(mover)
    fence.install(shut=True, patience=QUICK)
    assert fence.state(mover).standing == Standing.OPEN
    triggers = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
        "mysql": "SELECT trigger_name FROM information_schema.triggers "
        "WHERE trigger_schema = DATABASE()",
    }[here.kind]
    names = [name for (name,) in mover.rows(triggers)]
    on = " ON posts" if here.kind == "postgresql" else ""
    mover.execute(f"DROP TRIGGER {names[0]}{on}")
    assert "is not there" in fence.missing(mover)[0] or "is switched off" in fence.missing(mover)[0]
    fence.install(shut=True, patience=QUICK)
    assert not fence.missing(mover)
    fence.remove(QUICK)
    assert not mover.rows(triggers)
    assert "not there" in fence.missing(mover)[0]
    assert fence.state(mover).standing == Standing.OPEN
    with pytest.raises(HandoverRefused):
        fence.raise_(mover, 60)
    here.writer(WRITES[0])


def test_nothing_of_it_is_left_behind(here: Place) -> None:
    listed = {
        "sqlite": "SELECT name FROM sqlite_master WHERE name LIKE 'strangler%'",
        "postgresql": "SELECT relname FROM pg_class WHERE relname LIKE 'strangler%%' UNION ALL "
        "SELECT proname FROM pg_proc WHERE proname LIKE 'strangler%%'",
        "mysql": "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() "
        "AND table_name LIKE 'strangler%%'",
    }[here.kind]
    fence, mover = fence_of(here, shut=True)
    assert mover.rows(listed)
    fence.remove(QUICK)
    fence.remove(QUICK)
    assert not mover.rows(listed)


def test_capture_and_fence_of_one_move_do_not_take_each_other_away(here: Place) -> None:
    fence, mover = fence_of(here)
    capture = Capture(here.database, MOVE, [side(mover)])
    capture.install(QUICK)
    capture.install(QUICK)
    fence.install(shut=False, patience=QUICK)
    assert not fence.missing(mover)
    assert not capture.missing(mover)
    fence.remove(QUICK)
    assert not capture.missing(mover)
    here.writer(WRITES[0])
    assert capture.backlog(mover).entries == 1


def test_moves_of_one_name_in_two_databases_leave_each_other_alone(
    here: Place, place: Make
) -> None:
    fence, mover = fence_of(here, shut=True)
    elsewhere = place(here.kind)
    elsewhere.writer("CREATE TABLE posts (id INTEGER NOT NULL PRIMARY KEY, body VARCHAR(40))")
    other, _ = fence_of(elsewhere, shut=True)
    assert not fence.missing(mover)
    other.remove(QUICK)
    assert not fence.missing(mover)


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


@pytest.mark.services
def test_a_session_that_has_stopped_its_own_clock_is_kept_out_and_waited_for_as_any(
    place: Make,
) -> None:
    here = place("mysql")
    writer = here.writer("CREATE TABLE posts (id INTEGER PRIMARY KEY, body VARCHAR(40))")
    fence, mover = fence_of(here)
    writer.execute("SET timestamp = 1700000000.25")
    writer.execute("INSERT INTO posts VALUES (1, 'one')")  # its transaction has ended
    fence.raise_(mover, 60)
    with pytest.raises(Exception, match=REFUSED):
        writer.execute(WRITES[0])
    fence.lift(mover)
    begin(writer)
    writer.execute(WRITES[0])
    with pytest.raises(LockBusy):
        fence.raise_(mover, 60, wait_s=0.2)


@pytest.mark.services
def test_moves_of_one_name_in_two_schemas_leave_each_other_alone(place: Make) -> None:
    here = place("postgresql")
    here.writer("CREATE TABLE posts (id int PRIMARY KEY, body text)", "CREATE SCHEMA second")
    here.writer("CREATE TABLE second.posts (id int PRIMARY KEY, body text)")
    fence, mover = fence_of(here, shut=True)
    table = mover.describe(TableName("second", "posts"))
    its = side_of(mover, table, {"id": Kind.INTEGER, "body": Kind.TEXT}, ("id",))
    second = Fence(here.database, MOVE, [its])
    second.install(shut=False, patience=QUICK)
    assert not fence.missing(mover)
    second.remove(QUICK)
    assert not fence.missing(mover)
    assert fence.state(mover).standing == Standing.SHUT


def test_a_fence_whose_mark_was_taken_away_with_the_capture_says_so_and_is_mended(
    place: Make,
) -> None:
    here = place("sqlite")
    writer = here.writer("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    fence, mover = fence_of(here)
    mover.execute("DROP TABLE strangler_posts_mover")
    assert "switched off" in fence.missing(mover)[0]
    fence.install(shut=False, patience=QUICK)
    assert not fence.missing(mover)
    writer.execute(WRITES[0])


def test_installing_waits_for_who_writes_already(here: Place) -> None:
    writer = here.writer()
    begin(writer)
    writer.execute(WRITES[0])
    with beside(lambda: fence_of(here, shut=True)) as installed:
        with pytest.raises(TimeoutError):
            installed.result(timeout=0.3)
        writer.execute("COMMIT")
        installed.result(timeout=10)
    with pytest.raises(Exception, match=REFUSED):
        writer.execute(WRITES[1])


def test_a_shut_fence_is_not_weakened_by_raising_it(here: Place) -> None:
    fence, mover = fence_of(here, shut=True)
    with pytest.raises(HandoverRefused):
        fence.raise_(mover, 60)
    assert fence.state(mover).standing == Standing.SHUT


KILLED = """
import sys, time
from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.databases.port import Cell, Kind, Side, TableName
from strangler_proxy.handover.fence import Fence
url, where = sys.argv[1:]
database = open_database(url)
session = database.session("posts")
table = session.describe(TableName(None, "posts"))
cells = tuple(Cell(Kind.TEXT, session.dialect.quote(each.name), each) for each in table.columns)
fence = Fence(database, "posts", [Side(table, cells, (0,))])
def stop(_=None):
    print("here", flush=True)
    time.sleep(60)
fence.raise_(session, 60)
if where == "deciding":
    fence.make_permanent(session, stop)
if where == "decided":
    assert fence.make_permanent(session, lambda _: False)
stop()
"""


@pytest.mark.parametrize(
    ("where", "standing"),
    [("raised", Standing.UP), ("deciding", Standing.UP), ("decided", Standing.SHUT)],
)
def test_a_mover_that_is_killed_leaves_one_of_the_states_and_no_lock(
    here: Place, where: str, standing: Standing
) -> None:
    fence, mover = fence_of(here)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, here.url, where], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "here\n"
        finally:
            os.kill(process.pid, signal.SIGKILL)
    assert fence.state(mover).standing == standing
    writer = here.writer()
    with pytest.raises(Exception, match=REFUSED):
        writer.execute(WRITES[0])
    if standing == Standing.UP:
        assert fence.make_permanent(mover, nothing, wait_s=5)
    fence.lift(mover)
    assert writer.execute(WRITES[0]) == 1


def more_than(seen: int, session: Session) -> bool:
    return bool(session.scalar("SELECT count(*) FROM posts") != seen)


def test_no_write_that_succeeds_is_unseen_by_the_decision(here: Place) -> None:
    """Writers go on all the time; what is there at the decision is all there ever is."""
    fence, mover = fence_of(here)
    stop = threading.Event()
    done: list[int] = []

    def write(start: int) -> None:
        writer = here.writer()
        number = start
        while not stop.is_set():
            number += 1
            try:
                begin(writer)
                writer.execute(f"INSERT INTO posts VALUES ({number}, 'x')")
                writer.execute("COMMIT")
            except DatabaseUnreachable:
                raise
            except Exception:  # noqa: BLE001 - refused, in each driver's own words
                if here.kind != "sqlite" or writer.raw.in_transaction:
                    writer.execute("ROLLBACK")
            else:
                done.append(number)

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write, start * 1_000_000) for start in (1, 2, 3)]
        try:
            for _ in range(4):
                enough = len(done) + 20
                until(lambda enough=enough: len(done) >= enough, "writers go on", 20)
                fence.raise_(mover, 30, wait_s=10)
                seen = mover.scalar("SELECT count(*) FROM posts")
                assert fence.make_permanent(mover, partial(more_than, seen), wait_s=5)
                assert mover.scalar("SELECT count(*) FROM posts") == seen
                fence.lift(mover)
        finally:
            stop.set()
        for each in writers:
            each.result(timeout=20)
    assert mover.scalar("SELECT count(*) FROM posts") == 2 + len(done)
