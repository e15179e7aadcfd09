"""Who takes the turn gets the ledger from who stands aside, and gives both back however it ends."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from strangler_proxy.handover.ledger import LedgerLocked, open_ledger
from strangler_proxy.handover.turn import Turn, take_turn
from tests.wire_tools.proxy import until


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / ".strangler" / "m.move.jsonl"


def test_the_turn_is_free_until_it_is_taken_and_again_afterwards(ledger: Path) -> None:
    turn = Turn(ledger)
    assert not turn.taken()
    with take_turn(ledger, "cutover"):
        assert turn.taken()
        assert turn.holder().startswith(f"pid {os.getpid()} on ")
        assert "(cutover, since " in turn.holder()
    assert not turn.taken()


def test_who_takes_it_waits_for_the_ledger_of_who_stands_aside(ledger: Path) -> None:
    with ExitStack() as held:
        held.enter_context(open_ledger(ledger, "start"))
        waited = []

        def pause(_: float) -> None:
            waited.append(Turn(ledger).taken())
            held.close()

        with take_turn(ledger, "cutover", pause=pause):
            assert waited == [True]


def test_a_ledger_that_is_not_let_go_of_ends_the_wait(ledger: Path) -> None:
    with (
        open_ledger(ledger, "verify --repair"),
        pytest.raises(LedgerLocked, match="verify --repair"),
        take_turn(ledger, "cutover", aside_s=0.05),
    ):
        pass
    assert not Turn(ledger).taken()


def test_a_second_one_is_told_who_has_it(ledger: Path) -> None:
    with (
        take_turn(ledger, "cutover"),
        pytest.raises(LedgerLocked, match=rf"pid {os.getpid()} on .* \(cutover, since "),
        take_turn(ledger, "rollback"),
    ):
        pass


def test_one_that_looks_does_not_keep_another_from_taking_it(ledger: Path) -> None:
    turn, stop = Turn(ledger), threading.Event()

    def look() -> None:
        while not stop.is_set():
            turn.taken()

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(200):
            with take_turn(ledger, "cutover"):
                pass
    finally:
        stop.set()
        looking.join(10)


def test_it_ends_with_its_process_however_that_ends(ledger: Path) -> None:
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with take_turn(ledger, "cutover"):
                os.write(told, b"x")
                signal.pause()
        finally:
            os._exit(1)
    os.read(ready, 1)
    assert Turn(ledger).taken()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    until(lambda: not Turn(ledger).taken(), "the turn is free")
    os.close(ready)
    os.close(told)


def test_waiting_for_it_ends_when_told_to_stop(ledger: Path) -> None:
    stop = threading.Event()
    with take_turn(ledger, "cutover"):
        waiting = threading.Thread(target=Turn(ledger).wait, args=(stop,))
        waiting.start()
        stop.set()
        waiting.join(10)
        assert not waiting.is_alive()
