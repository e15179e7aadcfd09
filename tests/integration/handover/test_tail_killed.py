"""A tail killed at any moment loses nothing and repeats nothing that is not idempotent."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing

import pytest

from strangler_proxy.handover.capture import Capture, Patience
from strangler_proxy.handover.faults import LockBusy
from strangler_proxy.handover.pairing import pair_tables
from strangler_proxy.handover.tail import Tail
from tests.integration.handover.conftest import Place, pair_param
from tests.integration.handover.tables import rows_of
from tests.integration.handover.tailing import MOVE, first_tail

Make = Callable[[str], Place]
QUICK = Patience(lock_s=1.0, pause_s=0.01, whole_s=30.0)
T = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER)"
DEATHS = 6


@pytest.mark.parametrize(
    "kinds",
    [
        pair_param("sqlite", "sqlite"),
        pair_param("postgresql", "mysql"),
        pair_param("mysql", "postgresql"),
        pair_param("postgresql", "sqlite"),
    ],
)
def test_a_tail_killed_at_random_moments_under_writes_converges(
    place: Make, kinds: tuple[str, str]
) -> None:
    rng = random.Random(f"{kinds}")
    source, target = place(kinds[0]), place(kinds[1])
    writer, reader = source.writer(T), target.writer(T)
    pairs = pair_tables(MOVE, writer, reader)
    capture = Capture(source.database, "m", [pair.source for pair in pairs])
    capture.install(QUICK)
    stop = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        with closing(source.database.session()) as session:
            while not stop.is_set():
                # Each key changes a few times and then never again: a lost entry stays lost.
                one, other, old = 2 * written, 2 * written + 1, 2 * rng.randrange(written + 1)
                try:
                    with session.transaction():
                        session.execute(f"INSERT INTO t VALUES ({one}, {written})")
                        session.execute(f"UPDATE t SET id = {other} WHERE id = {one}")
                        session.execute(f"INSERT INTO t VALUES ({one}, 0)")
                        session.execute(f"DELETE FROM t WHERE id IN ({old}, {old + 1})")
                except LockBusy:
                    continue
                written += 1
                stop.wait(0.002)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for seed in range(DEATHS):
            _tail_until_killed(source.url, target.url, seed, rng.random() * 0.3)
    finally:
        stop.set()
        thread.join()
    assert written > DEATHS
    last = (source.session("m"), target.session("m"))
    tail = first_tail(lambda: Tail("m", pairs, capture, *last))
    while tail.step().entries:
        pass
    assert capture.backlog(writer).entries == 0
    assert rows_of(writer, pairs[0].source)
    assert rows_of(writer, pairs[0].source) == rows_of(reader, pairs[0].target)


def _tail_until_killed(source_url: str, target_url: str, seed: int, after_s: float) -> None:
    command = [sys.executable, "-m", "tests.integration.handover.tailing"]
    with subprocess.Popen(
        [*command, source_url, target_url, str(seed)], stdout=subprocess.PIPE, text=True
    ) as mover:
        assert mover.stdout is not None
        try:
            assert mover.stdout.readline() == "tailing\n"
            try:
                mover.wait(after_s)  # it may kill itself first
            except subprocess.TimeoutExpired:
                mover.kill()
        finally:
            mover.kill()
            mover.wait(10)


def test_a_claim_of_a_killed_mover_is_free_for_the_next(place: Make) -> None:
    source, target = place("sqlite"), place("sqlite")
    source.writer(T)
    target.writer(T)
    pairs = pair_tables(MOVE, source.session(), target.session())
    Capture(source.database, "m", [pair.source for pair in pairs]).install(QUICK)
    _tail_until_killed(source.url, target.url, 1, 0.0)
    last = (source.session("m"), target.session("m"))
    first_tail(lambda: Tail("m", pairs, Capture(source.database, "m", [pairs[0].source]), *last))
