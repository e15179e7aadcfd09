"""Capture is installed while writers write, and taken away without a trace."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from strangler_proxy.handover.capture import Capture, Patience
from strangler_proxy.handover.databases.port import Kind, Session, TableName
from strangler_proxy.handover.faults import LockBusy
from strangler_proxy.handover.fence import Fence
from tests.integration.handover.capture.capturing import MOVE, QUICK, Make, T, captured, keys, side
from tests.integration.handover.conftest import KINDS, SERVERS, Place, kind_param
from tests.integration.handover.tables import side_of
from tests.wire_tools.proxy import until

CATALOGUE = {
    "sqlite": ("SELECT type, name, sql FROM sqlite_master ORDER BY name",),
    "postgresql": (
        "SELECT relkind::text, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "ORDER BY 2",
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
        "SELECT table_name, column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'public' ORDER BY 1, 2",
    ),
    "mysql": (
        "SELECT table_name, engine FROM information_schema.tables "
        "WHERE table_schema = DATABASE() ORDER BY 1",
        "SELECT table_name, column_name, column_type FROM information_schema.columns "
        "WHERE table_schema = DATABASE() ORDER BY 1, 2",
        "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
        "SELECT routine_name FROM information_schema.routines WHERE routine_schema = DATABASE()",
    ),
}


def test_installing_again_changes_nothing_and_removing_leaves_no_trace(here: Place) -> None:
    writer = here.writer(
        T,
        "CREATE TABLE u (a INTEGER NOT NULL, b INTEGER NOT NULL, n INTEGER, "
        "PRIMARY KEY (a, b), UNIQUE (n))",
    )
    before = [writer.rows(sql) for sql in CATALOGUE[here.kind]]
    capture = captured(here, "t", "u")
    writer.execute("INSERT INTO t VALUES (1, 1)")
    installed = [writer.rows(sql) for sql in CATALOGUE[here.kind]]
    assert installed != before
    capture.install(QUICK)
    assert [writer.rows(sql) for sql in CATALOGUE[here.kind]] == installed
    assert keys(here, capture) == [("t", (1,))]
    capture.remove(QUICK)
    assert [writer.rows(sql) for sql in CATALOGUE[here.kind]] == before
    capture.remove(QUICK)
    writer.execute("INSERT INTO t VALUES (2, 2)")


def test_two_moves_capture_one_table_and_one_is_removed_alone(here: Place) -> None:
    writer = here.writer(T)
    table = side(writer, "t")
    one = Capture(here.database, "a", [table])
    other = Capture(here.database, "a_b", [table])
    one.install(QUICK)
    other.install(QUICK)
    one.remove(QUICK)
    writer.execute("INSERT INTO t VALUES (1, 1)")
    assert [entry.key for entry in other.entries(here.session("a_b"), 10)] == [(1,)]
    assert other.missing(writer) == ()


@pytest.mark.parametrize("kind", [kind_param(kind) for kind in SERVERS])
def test_a_move_of_the_same_name_elsewhere_on_the_server_is_left_alone(
    place: Make, kind: str
) -> None:
    here = place(kind)
    writer = here.writer(T)
    kept = captured(here, "t")
    if kind == "mysql":
        there, table = place(kind), TableName(None, "t")
        there.writer(T)
    else:
        there, table = here, TableName("other", "t")
        writer.execute("CREATE SCHEMA other")
        writer.execute(T.replace("TABLE t", "TABLE other.t"))
    found = there.session().describe(table)
    integers = dict.fromkeys(("id", "n"), Kind.INTEGER)
    capture = Capture(there.database, MOVE, [side_of(writer, found, integers, ("id",))])
    capture.install(QUICK)
    assert kept.missing(writer) == ()
    capture.remove(QUICK)
    assert kept.missing(writer) == ()


def test_a_trigger_that_somebody_dropped_is_missed(here: Place) -> None:
    writer = here.writer(T)
    capture = captured(here, "t")
    assert capture.missing(writer) == ()
    drop = {
        "sqlite": "SELECT 'DROP TRIGGER ' || name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT 'ALTER TABLE t DISABLE TRIGGER ' || tgname FROM pg_trigger",
        "mysql": "SELECT CONCAT('DROP TRIGGER ', trigger_name) FROM information_schema.triggers "
        "WHERE trigger_schema = DATABASE()",
    }
    writer.execute(writer.scalar(drop[here.kind]))
    (told,) = capture.missing(writer)
    assert told.startswith(f"{side(writer, 't').table.name}: the trigger strangler_posts_")
    capture.install(QUICK)
    assert capture.missing(writer) == ()


@pytest.mark.parametrize("kind", [kind_param(kind) for kind in SERVERS])
def test_a_transaction_that_began_before_the_triggers_does_not_slip_through(
    place: Make, kind: str
) -> None:
    here = place(kind)
    early, writer = here.writer(T, "CREATE TABLE u (id INTEGER)"), here.writer()
    table = side(writer, "t")
    capture = Capture(here.database, MOVE, [table])
    pauses: list[float] = []
    with early.transaction():
        early.execute("INSERT INTO t VALUES (1, 1)")
        with pytest.raises(LockBusy):
            capture.install(Patience(lock_s=1.0, pause_s=0.0, whole_s=0.0), pause=pauses.append)
        writer.execute("INSERT INTO t VALUES (2, 2)")  # nobody is kept waiting by the attempt
    with early.transaction():
        early.execute("INSERT INTO u VALUES (1)")  # under way, but has not touched the table
        capture.install(QUICK)
        early.execute("INSERT INTO t VALUES (3, 3)")
    assert keys(here, capture) == [("t", (3,))]


def test_capture_is_installed_while_writers_write_and_misses_none_after(here: Place) -> None:
    here.writer(T)
    stop, faults = threading.Event(), []
    done: list[list[int]] = [[], []]

    def write(which: int) -> None:
        number = which
        try:
            with closing(here.database.session()) as session:
                while not stop.is_set():
                    session.execute(f"INSERT INTO t VALUES ({number}, 0)")
                    done[which].append(number)
                    number += 2
        except Exception as fault:  # noqa: BLE001 - told below
            faults.append(fault)

    threads = [threading.Thread(target=write, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    try:
        capture = captured(here, "t")
        with closing(here.database.session()) as session, session.snapshot():
            copied = {key for (key,) in session.rows("SELECT id FROM t")}
        count = len(done[0])
        until(lambda: len(done[0]) >= count + 20 or faults, "twenty more rows")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert faults == []
    entered = {key for _, (key,) in keys(here, capture)}
    assert copied | entered == {*done[0], *done[1]}
    assert entered


@pytest.mark.parametrize("kind", KINDS)
def test_a_fence_goes_on_where_capture_is_taken_away(kind, place):
    where = place(kind)
    session = where.writer("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY)")
    side = side_of(session, session.describe(TableName(None, "t")), {"id": Kind.INTEGER}, ("id",))
    capture, fence = Capture(where.database, "m", [side]), Fence(where.database, "m", [side])
    fence.install(shut=True)
    capture.install()
    capture.remove()
    assert fence.missing(session) == ()
    with pytest.raises(Exception, match="takes no writes here"):
        session.execute("INSERT INTO t VALUES (1)")
    fence.remove()
    session.execute("INSERT INTO t VALUES (1)")


@pytest.mark.parametrize("there", [False, True], ids=["made", "dropped"])
def test_who_has_read_a_table_and_then_writes_it_is_not_ended_by_a_trigger_that_comes_or_goes(
    place: Make, there: bool
) -> None:
    here = place("mysql")
    writer = here.writer(T, "INSERT INTO t VALUES (1, 1)")
    if "mariadb" not in str(writer.scalar("SELECT VERSION()")).lower():
        pytest.skip("MySQL has a trigger wait for a second at least, and others behind it")
    capture = Capture(here.database, MOVE, [side(here.session(), "t")])
    if there:
        capture.install(QUICK)
    change = capture.remove if there else capture.install
    before = _defined(writer)
    with writer.transaction():
        assert writer.rows("SELECT n FROM t") == [(1,)]
        installer = threading.Thread(target=change, args=(QUICK,))
        installer.start()
        until(lambda: _defined(writer) > before, "it was tried")
        writer.execute("UPDATE t SET n = 2 WHERE id = 1")
    installer.join(20)
    assert not installer.is_alive()
    assert writer.rows("SELECT n FROM t") == [(2,)]
    if not there:
        writer.execute("UPDATE t SET n = 3 WHERE id = 1")
        assert ("t", (1,)) in keys(here, capture)


def _defined(session: Session) -> int:
    """How often this server was asked to make or drop a trigger."""
    rows = session.rows(
        "SHOW GLOBAL STATUS WHERE Variable_name RLIKE '^Com_(create|drop)_trigger$'"
    )
    return sum(int(count) for _, count in rows)
