"""A fence is made permanent only if nobody has written behind it, whatever is killed meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from strangler_proxy.handover.capture import Capture
from strangler_proxy.handover.databases.port import Session
from strangler_proxy.handover.faults import DatabaseUnreachable, HandoverRefused
from strangler_proxy.handover.fence import Standing
from tests.integration.handover.conftest import Place
from tests.integration.handover.fence.fenced import (
    MOVE,
    QUICK,
    REFUSED,
    WRITES,
    begin,
    fence_of,
    lapse,
    nothing,
    side,
)
from tests.wire_tools.proxy import until


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
