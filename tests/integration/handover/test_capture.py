"""Whatever commits a change of a moved table leaves an entry, and nothing else does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from strangler_proxy.handover.capture import Capture, Patience
from strangler_proxy.handover.databases.port import Kind, Session, Side, TableName
from strangler_proxy.handover.faults import HandoverRefused, LockBusy
from strangler_proxy.handover.fence import Fence
from tests.integration.handover.conftest import KINDS, SERVERS, Place, kind_param
from tests.integration.handover.tables import side_of
from tests.wire_tools.proxy import until

Make = Callable[[str], Place]
MOVE = "posts"
QUICK = Patience(lock_s=1.0, pause_s=0.01, whole_s=30.0)
T = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER)"
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
TEXTS = ["", "a", "A", "ü😀", "q'\"\\%", "1", "a "]
KEYS: dict[str, dict[str, tuple[str, Kind, list[Any]]]] = {
    "sqlite": {
        "integer": ("INTEGER", Kind.INTEGER, [1, -(2**63), 2**63 - 1]),
        "text": ("TEXT", Kind.TEXT, TEXTS),
        "uuid": ("CHAR(36)", Kind.UUID, ["6F9619FF-8B86-D011-B42D-00C04FC964FF"]),
        "binary": ("BLOB", Kind.BINARY, [b"\0\xff", b"", b"'\""]),
    },
    "postgresql": {
        "integer": ("bigint", Kind.INTEGER, [1, -(2**63), 2**63 - 1]),
        "text": ("text", Kind.TEXT, TEXTS),
        "char": ("char(9)", Kind.TEXT, ["abc", "q'%"]),
        "uuid": ("uuid", Kind.UUID, ["6f9619ff-8b86-d011-b42d-00c04fc964ff"]),
        "uuid text": ("varchar(40)", Kind.UUID, ["6F9619FF8B86D011B42D00C04FC964FF"]),
        "binary": ("bytea", Kind.BINARY, [b"\0\xff", b"", b"'\""]),
        "decimal": ("numeric(20, 2)", Kind.DECIMAL, ["1.10", "-0.01"]),
        "date": ("date", Kind.DATE, ["2024-02-29"]),
        "moment": ("timestamptz", Kind.TIMESTAMP, ["2024-02-29 12:00:00.000001+02"]),
    },
    "mysql": {
        "integer": ("bigint unsigned", Kind.INTEGER, [1, 2**64 - 1]),
        "text": ("varchar(50) COLLATE utf8mb4_nopad_bin", Kind.TEXT, TEXTS),
        "latin": ("varchar(50) CHARACTER SET latin1", Kind.TEXT, ["ü"]),
        "uuid": ("char(36)", Kind.UUID, ["6F9619FF-8B86-D011-B42D-00C04FC964FF"]),
        "binary": ("varbinary(20)", Kind.BINARY, [b"\0\xff", b"", b"'\""]),
        "uuid bytes": ("binary(16)", Kind.UUID, [bytes(16), b"\xff" * 16]),
        "decimal": ("decimal(20, 2)", Kind.DECIMAL, ["1.10", "-0.01"]),
        "date": ("date", Kind.DATE, ["2024-02-29"]),
        "moment": ("datetime(6)", Kind.TIMESTAMP, ["2024-02-29 12:00:00.000001"]),
    },
}


@pytest.fixture(params=KINDS)
def here(request: pytest.FixtureRequest, place: Make) -> Place:
    return place(request.param)


def side(session: Session, table_name: str, /, **kinds: Kind) -> Side:
    table = session.describe(TableName(None, table_name))
    every = {column.name: kinds.get(column.name, Kind.INTEGER) for column in table.columns}
    return side_of(session, table, every, table.primary_key)


def captured(here: Place, *names: str) -> Capture:
    """Capture installed on these tables of integers."""
    session = here.session()
    capture = Capture(here.database, MOVE, [side(session, name) for name in names])
    capture.install(QUICK)
    return capture


def keys(here: Place, capture: Capture) -> list[tuple[str, tuple[Any, ...]]]:
    """What waits, by number."""
    with closing(here.database.session(MOVE)) as session:
        return [
            (entry.table.rpartition(".")[2], entry.key)
            for entry in capture.entries(session, 1_000_000)
        ]


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


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        pytest.param(kind, key, marks=[pytest.mark.services] if kind in SERVERS else [])
        for kind, known in KEYS.items()
        for key in known
    ],
)
def test_a_key_of_any_type_finds_its_row_again(place: Make, kind: str, key: str) -> None:
    here = place(kind)
    declared, kind_of_key, values = KEYS[kind][key]
    writer = here.writer(
        f"CREATE TABLE t (k {declared} NOT NULL, j INTEGER NOT NULL, n INTEGER, PRIMARY KEY (k, j))"
    )
    table = side(writer, "t", k=kind_of_key)
    capture = Capture(here.database, MOVE, [table])
    capture.install(QUICK)
    dialect = writer.dialect
    mark = dialect.placeholder
    for number, value in enumerate(values):
        writer.execute(f"INSERT INTO t VALUES ({mark}, {mark}, 0)", (value, number))
    entries = capture.entries(writer, 100)
    assert len(entries) == len(values)
    for number, entry in enumerate(entries):
        (row,) = writer.rows(dialect.by_keys(table, 1), entry.key)
        assert table.key_of(row) == entry.key
        assert entry.key[1] == number


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


@pytest.mark.services
def test_a_key_that_changes_its_case_alone_is_two_keys_on_mysql(place: Make) -> None:
    here = place("mysql")
    writer = here.writer(
        "CREATE TABLE t (k VARCHAR(9) COLLATE utf8mb4_general_ci NOT NULL PRIMARY KEY)",
        "INSERT INTO t VALUES ('a')",
    )
    capture = Capture(here.database, MOVE, [side(writer, "t", k=Kind.TEXT)])
    capture.install(QUICK)
    writer.execute("UPDATE t SET k = 'A'")
    assert [key for _, (key,) in keys(here, capture)] == ["a", "A"]


def test_a_null_in_a_key_stops_the_move(place: Make) -> None:
    here = place("sqlite")
    writer = here.writer("CREATE TABLE t (k TEXT PRIMARY KEY)")
    capture = Capture(here.database, MOVE, [side(writer, "t", k=Kind.TEXT)])
    capture.install(QUICK)
    writer.execute("INSERT INTO t VALUES (NULL)")
    with pytest.raises(HandoverRefused, match="is not a row's key"):
        keys(here, capture)


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
