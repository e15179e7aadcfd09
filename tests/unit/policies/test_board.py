"""A row of the board is one for all processes; whoever is killed or stopped in mid-change stops
nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from strangler_proxy.config import Breaker as Settings
from strangler_proxy.policies import locks as locks_module
from strangler_proxy.policies.board import ROWS, Board, BoardFull, Rows
from strangler_proxy.policies.breaker import CLOSED, OPEN, Breaker
from tests.wire_tools.proxy import until

SETTINGS = Settings(failures=5, open_s=60)
NOW = time.monotonic()


def breaker(board: Board, row: int = 7) -> Breaker:
    return Breaker(SETTINGS, board.cells(row), board.guard(row))


@contextmanager
def process(board: Board, does: str) -> Iterator[subprocess.Popen[str]]:
    """Another process with the same board; it says a word, and then waits to be ended."""
    program = (
        "import sys, time\n"
        "from strangler_proxy.config import Breaker as Settings\n"
        "from strangler_proxy.policies.board import Board\n"
        "from strangler_proxy.policies.breaker import Breaker\n"
        f"board = Board({board.fd})\n"
        "breaker = Breaker(Settings(failures=5, open_s=60), board.cells(7), board.guard(7))\n"
        f"now = {NOW}\n"
        f"{does}\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[board.fd],
    ) as child:  # fmt: skip
        try:
            yield child
        finally:
            child.kill()


def word(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


SAY_AND_WAIT = "print({}, flush=True); sys.stdin.read()"


def test_rows_do_not_touch_each_other_and_begin_as_closed() -> None:
    board = Board()
    for _ in range(5):
        breaker(board, 0).failed(NOW)
        breaker(board, ROWS - 1).failed(NOW)
    states = [breaker(board, row).state(NOW) for row in (0, 1, ROWS - 2, ROWS - 1)]
    assert states == ["open", "closed", "closed", "open"]


def test_names_keep_their_rows_and_there_is_a_last_one() -> None:
    rows = Rows()
    assert rows.of(["a", "b"]) == {"a": 0, "b": 1}
    assert rows.of(["b", "c"]) == {"b": 1, "c": 2}
    rows.of([f"n{number}" for number in range(ROWS - 3)])
    assert rows.of(["a"]) == {"a": 0}
    with pytest.raises(BoardFull, match="restart"):
        rows.of(["one more"])


def test_failures_that_several_processes_met_add_up() -> None:
    board = Board()
    ours = breaker(board)
    for _ in range(3):
        ours.failed(NOW)
    two = "[breaker.failed(now) for _ in range(2)]"
    with process(board, SAY_AND_WAIT.format(two)) as child:
        assert word(child) == "[False, True]"
    assert ours.admit(NOW) == OPEN


def test_of_two_processes_one_probes_and_one_killed_while_it_probes_bars_others_for_a_while() -> (
    None
):
    board = Board()
    ours = breaker(board)
    for _ in range(5):
        ours.failed(NOW)
    with process(board, SAY_AND_WAIT.format("breaker.admit(now + 60, 10) > 0")) as child:
        assert word(child) == "True"
        assert ours.admit(NOW + 61) == OPEN
        child.kill()
        child.wait(5)
    assert ours.admit(NOW + 119.9) == OPEN
    ticket = ours.admit(NOW + 120)
    assert ticket not in (CLOSED, OPEN)
    ours.succeeded(NOW + 120, ticket)
    assert ours.admit(NOW + 120) == CLOSED


HOLD = "breaker._guard.__enter__()\n" + SAY_AND_WAIT.format("'held'")


def test_process_killed_while_it_holds_the_guard_holds_it_no_more() -> None:
    board = Board()
    ours = breaker(board)
    with process(board, HOLD) as child:
        assert word(child) == "held"
        child.kill()
        child.wait(5)
    began = time.monotonic()
    assert [ours.failed(NOW) for _ in range(5)][-1]
    assert time.monotonic() - began < locks_module._WAIT_S


def test_process_stopped_while_it_holds_the_guard_is_waited_for_once() -> None:
    board = Board()
    ours = breaker(board)
    with process(board, HOLD) as child:
        assert word(child) == "held"
        os.kill(child.pid, signal.SIGSTOP)
        began = time.monotonic()
        assert [ours.failed(NOW) for _ in range(5)][-1]
        assert locks_module._WAIT_S <= time.monotonic() - began < 2 * locks_module._WAIT_S
        assert ours.admit(NOW) == OPEN


def test_many_processes_that_count_at_the_same_time_lose_no_count() -> None:
    board = Board()
    many = "breaker.settings = Settings(failures=10**6)\nsys.stdin.readline()\n"
    many += "for _ in range(3000): breaker.failed(now)\n" + SAY_AND_WAIT.format("'done'")
    with process(board, many) as one, process(board, many) as two:
        for child in (one, two):
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        until(lambda: max(board.cells(7)), "they count")
        assert [word(one), word(two)] == ["done", "done"]
    assert sum(board.cells(7)) == 6000
