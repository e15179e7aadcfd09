"""Tables are described, values come back, and sessions keep their promises, in each database."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import closing

import pytest

from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.databases.port import Kind, Session, TableName
from strangler_proxy.handover.faults import (
    Clash,
    DatabaseUnreachable,
    HandoverFault,
    HandoverRefused,
    LockBusy,
)
from tests.integration.handover.conftest import KINDS, Place, kind_param
from tests.integration.handover.tables import (
    ROW,
    ROWS,
    WIDE,
    rows_of,
    side_of,
    wide_side,
    write_rows,
)
from tests.wire_tools.proxy import until

Make = Callable[[str], Place]
SLOW = {
    "sqlite": "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(30)",
    "mysql": "SELECT SLEEP(30) FROM (SELECT 1 UNION SELECT 2) AS two",
}


@pytest.fixture(params=KINDS)
def here(request: pytest.FixtureRequest, place: Make) -> Place:
    return place(request.param)


def test_a_table_is_described_with_keys_kinds_and_what_the_database_computes(here: Place) -> None:
    table = here.writer(WIDE[here.kind]).describe(TableName(None, "wide"))
    assert table.primary_key == ("id", "code")
    assert [column.name for column in table.columns if column.generated] == ["letters"]
    natural = {column.name: column.kinds[0] for column in table.columns}
    assert natural["price"] == Kind.DECIMAL
    assert natural["made at"] == Kind.TIMESTAMP
    assert [column.scale for column in table.columns if column.name == "price"] == [4]
    assert all(column.kinds for column in table.columns)


def test_references_and_further_unique_keys_are_described(here: Place) -> None:
    writer = here.writer(
        "CREATE TABLE parent (a INTEGER NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b))",
        "CREATE TABLE child (id INTEGER NOT NULL PRIMARY KEY, x INTEGER, y INTEGER, z INTEGER, "
        "UNIQUE (z, y), FOREIGN KEY (x, y) REFERENCES parent (a, b) ON DELETE CASCADE)",
    )
    table = writer.describe(TableName(None, "child"))
    assert ("z", "y") in table.unique
    (reference,) = table.foreign_keys
    assert (reference.columns, reference.to.name) == (("x", "y"), "parent")
    assert (reference.to_columns, reference.on_delete) == (("a", "b"), "CASCADE")


def test_every_kind_of_value_comes_back_as_it_was(here: Place) -> None:
    writer = here.writer(WIDE[here.kind])
    side = wide_side(writer)
    write_rows(writer, side, ROWS)
    write_rows(writer, side, ROWS)
    found = rows_of(writer, side)
    assert found == sorted(ROWS, key=lambda row: str(row[:2]))
    assert [list(map(type, row)) for row in found] == [
        list(map(type, row)) for row in sorted(ROWS, key=lambda row: str(row[:2]))
    ]


def test_pages_go_through_all_rows_once_in_the_keys_order(here: Place) -> None:
    writer = here.writer(WIDE[here.kind])
    side = wide_side(writer)
    write_rows(writer, side, [(n // 3, f"k{n}", *ROW[2:]) for n in range(20)])
    seen: list[tuple[object, ...]] = []
    while True:
        after = writer.dialect.page_parameters(seen[-1]) if seen else ()
        page = writer.rows(writer.dialect.page(side, bool(seen), 3), after)
        if not page:
            break
        seen += [side.key_of(row) for row in page]
    assert seen == sorted(seen)
    assert len(set(seen)) == 20


def test_rows_are_found_and_deleted_by_their_keys(here: Place) -> None:
    writer = here.writer(WIDE[here.kind])
    side = wide_side(writer)
    write_rows(writer, side, ROWS)
    keys = [value for row in ROWS[:2] for value in row[:2]]
    assert len(writer.rows(writer.dialect.by_keys(side, 2), keys)) == 2
    assert writer.execute(writer.dialect.delete(side, 2), keys) == 2
    assert len(rows_of(writer, side)) == 2


def test_what_is_written_in_a_transaction_that_fails_is_not_there(here: Place) -> None:
    writer = here.writer("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY)")

    def fail() -> None:
        with writer.transaction():
            writer.execute("INSERT INTO t VALUES (1)")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert writer.scalar("SELECT count(*) FROM t") == 0


def test_a_snapshot_sees_nothing_that_is_committed_after_it_began(here: Place) -> None:
    writer = here.writer("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY)")
    reader = here.session("m")
    with reader.snapshot():
        writer.execute("INSERT INTO t VALUES (1)")
        assert reader.scalar("SELECT count(*) FROM t") == 0
    assert reader.scalar("SELECT count(*) FROM t") == 1


def test_a_stream_comes_in_batches_and_may_be_left(here: Place) -> None:
    writer = here.writer("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY)")
    writer.execute_many(
        f"INSERT INTO t VALUES ({writer.dialect.placeholder})", [(n,) for n in range(25)]
    )
    with writer.snapshot(), closing(writer.stream("SELECT id FROM t ORDER BY id", (), 10)) as rows:
        assert [len(batch) for batch in rows] == [10, 10, 5]
    with writer.snapshot(), closing(writer.stream("SELECT id FROM t ORDER BY id", (), 10)) as rows:
        next(rows)
    assert writer.scalar("SELECT count(*) FROM t") == 25


def test_only_one_holds_a_claim_until_it_hangs_up(here: Place) -> None:
    first, second = here.session("m"), here.session("m")
    first.claim("tail")
    second.claim("backfill")
    with pytest.raises(LockBusy, match="'tail'"):
        second.claim("tail")
    first.close()

    def free() -> bool:
        # A server may take a moment to notice who has hung up.
        try:
            second.claim("tail")
        except LockBusy:
            return False
        return True

    until(free, "the claim is free", 10.0)


def test_a_statement_that_takes_too_long_is_ended(here: Place) -> None:
    session = here.session(statement_s=1)
    with pytest.raises(HandoverFault):
        session.rows(SLOW[here.kind])
    assert session.scalar("SELECT 1") == 1


def test_a_row_that_another_keeps_is_busy_and_not_waited_for_without_end(here: Place) -> None:
    one = here.writer(
        "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER)", "INSERT INTO t VALUES (1, 1)"
    )
    other = here.session(statement_s=1)
    with one.transaction():
        one.execute("UPDATE t SET n = 2")
        with pytest.raises(LockBusy), other.transaction():
            other.execute("UPDATE t SET n = 3")
    assert one.scalar("SELECT n FROM t") == 2


@pytest.mark.services
def test_a_deadlock_is_told_to_one_of_the_two_as_busy(place: Make) -> None:
    here = place("mysql")
    one = here.writer(
        "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER)",
        "INSERT INTO t VALUES (1, 1), (2, 2)",
    )
    other = here.writer()
    told: list[Exception] = []
    both = threading.Barrier(2)

    def cross(session: Session, first: int, second: int) -> None:
        try:
            with session.transaction():
                session.execute(f"UPDATE t SET n = 0 WHERE id = {first}")
                both.wait(10)
                session.execute(f"UPDATE t SET n = 0 WHERE id = {second}")
        except LockBusy as busy:
            told.append(busy)

    thread = threading.Thread(target=cross, args=(one, 1, 2))
    thread.start()
    cross(other, 2, 1)
    thread.join()
    assert len(told) == 1


def test_a_row_that_breaks_a_constraint_clashes(here: Place) -> None:
    writer = here.writer(
        "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER UNIQUE)",
        "INSERT INTO t VALUES (1, 1)",
    )
    table = writer.describe(TableName(None, "t"))
    side = side_of(writer, table, {"id": Kind.INTEGER, "n": Kind.INTEGER}, ("id",))
    with pytest.raises(Clash):
        write_rows(writer, side, [(2, 1)])
    assert rows_of(writer, side) == [(1, 1)]
    write_rows(writer, side, [(1, 5), (2, 1)])
    assert rows_of(writer, side) == [(1, 5), (2, 1)]


def test_a_fingerprint_changes_with_the_table_and_not_with_its_rows(here: Place) -> None:
    writer = here.writer("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER)")
    table = writer.describe(TableName(None, "t"))
    before = writer.fingerprint(table)
    writer.execute("INSERT INTO t VALUES (1, 1)")
    writer.execute("DELETE FROM t")
    assert writer.fingerprint(table) == before
    writer.execute("ALTER TABLE t ADD COLUMN more INTEGER")
    assert writer.fingerprint(table) != before


def test_a_view_and_a_table_that_is_not_there_are_refused(here: Place) -> None:
    writer = here.writer("CREATE TABLE t (id INTEGER)", "CREATE VIEW v AS SELECT id FROM t")
    with pytest.raises(HandoverRefused, match="v is no ordinary table"):
        writer.describe(TableName(None, "v"))
    with pytest.raises(HandoverRefused, match="there is no table gone"):
        writer.describe(TableName(None, "gone"))


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/at/all.db",
        "postgresql+psycopg://nobody@127.0.0.1:{port}/x",
        "mysql+pymysql://nobody@127.0.0.1:{port}/x",
    ],
)
def test_a_database_that_is_not_there_is_told_by_its_url_without_the_password(url: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    url = url.replace("nobody@", "nobody:secret@").replace("{port}", str(port))
    with pytest.raises(DatabaseUnreachable) as told:
        open_database(url).session()
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("url", ["oracle://x/y", "sqlite://", "mysql://root@127.0.0.1", "nothing"])
def test_a_url_of_no_database_is_refused(url: str) -> None:
    with pytest.raises(HandoverRefused):
        open_database(url)


@pytest.mark.parametrize("kind", [kind_param("postgresql"), kind_param("mysql")])
def test_a_connection_that_the_server_ends_is_told_as_unreachable(place: Make, kind: str) -> None:
    here = place(kind)
    session, killer = here.session("m"), here.session()
    which, kill = {
        "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend(%s)"),
        "mysql": ("SELECT CONNECTION_ID()", "KILL %s"),
    }[kind]

    def cut_off() -> None:
        with session.transaction():
            killer.rows(kill, (session.scalar(which),))
            session.scalar("SELECT 1")

    with pytest.raises(DatabaseUnreachable):
        cut_off()
    with pytest.raises(DatabaseUnreachable):
        session.scalar("SELECT 1")
