"""A verification while writes go on: what a waiting change explains is no difference."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from strangler_proxy.handover.capture import Capture, Patience
from strangler_proxy.handover.tail import Tail
from strangler_proxy.handover.waiting import waiting_keys
from tests.integration.handover.conftest import Place
from tests.integration.handover.tables import write_rows
from tests.integration.handover.verify.sides import SMALL, Sides, post, posts, told

QUICK = Patience(lock_s=1.0, pause_s=0.01, whole_s=30.0)


@contextmanager
def captured(it: Sides) -> Iterator[tuple[Capture, Tail]]:
    capture = Capture(it.source.database, "m", [pair.source for pair in it.pairs])
    capture.install(QUICK)
    tail = Tail("m", it.pairs, capture, it.source.session("m"), it.target.session("m"))
    yield capture, tail


def _drain(tail: Tail) -> None:
    while tail.step().more:
        pass


def test_a_change_that_the_tail_brings_is_no_difference(some: tuple[Place, Place]) -> None:
    it = posts(some)
    with captured(it) as (capture, tail):
        it.reads.execute("UPDATE posts SET author_id = 99 WHERE id IN (5, 300)")
        it.reads.execute("DELETE FROM posts WHERE id = 7")
        write_rows(it.reads, it.pair.source, [post(1000)])
        pending = waiting_keys(capture, it.source.session())
        report = it.verify(pending=pending, tail=lambda: _drain(tail))
    assert report.agrees, str(report)
    # The tail that ran for the first of them brought more than that one.
    assert 1 <= report.rechecked <= 4


def test_a_difference_is_stale_only_while_its_change_waits(some: tuple[Place, Place]) -> None:
    it = posts(some)
    with captured(it) as (capture, tail):
        it.writes.execute("UPDATE posts SET author_id = 99 WHERE id = 8")
        it.reads.execute("UPDATE posts SET author_id = 99 WHERE id = 5")
        pending = waiting_keys(capture, it.source.session())
        waits = it.verify(pending=pending)
        assert {each.key: each.stale for each in waits.differences} == {(5,): True, (8,): False}
        assert (waits.total, waits.stale, waits.agrees) == (2, 1, False)
        _drain(tail)
        report = it.verify(pending=pending)
    assert {each.key: each.stale for each in report.differences} == {(8,): False}


def test_under_writes_only_what_stays_different_is_reported(some: tuple[Place, Place]) -> None:
    it = posts(some)
    stop, wrote = threading.Event(), threading.Event()
    writer = it.source.session()

    def write() -> None:
        key = 0
        while not stop.is_set():
            key = (key + 37) % 500
            if key % 5 and key != 250:
                writer.execute(f"UPDATE posts SET author_id = author_id + 1 WHERE id = {key}")
            wrote.set()
            stop.wait(0.002)

    with captured(it) as (capture, tail):
        it.writes.execute("UPDATE posts SET title = 'wrong' WHERE id = 250")
        pending = waiting_keys(capture, it.source.session())
        thread = threading.Thread(target=write)
        thread.start()
        try:
            assert wrote.wait(10)
            began, rechecked = time.monotonic(), 0
            while rechecked == 0 and time.monotonic() < began + 20:
                limits = replace(SMALL, looks=40)
                report = it.verify(limits, pending=pending, tail=lambda: _drain(tail))
                assert told(report) == {(250,): "different"}
                assert report.stale == 0
                rechecked += report.rechecked
        finally:
            stop.set()
            thread.join()
    assert rechecked
