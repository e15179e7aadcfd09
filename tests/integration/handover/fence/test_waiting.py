"""A rising fence waits for who has passed, for so long; and it lapses by itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from strangler_proxy.handover.databases.port import Session
from strangler_proxy.handover.faults import LockBusy
from strangler_proxy.handover.fence import Standing
from tests.integration.handover.conftest import Place
from tests.integration.handover.fence.fenced import (
    REFUSED,
    WRITES,
    Make,
    begin,
    beside,
    fence_of,
    nothing,
)
from tests.wire_tools.proxy import until

LEVELS = {
    "sqlite": [""],
    "postgresql": ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"],
    "mysql": ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"],
}


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
