"""A command that is told to stop says so, by the exit code that its help names and by JSON."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.handover.data.blog import COMMAND, END_S
from tests.wire_tools.proxy import until


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["status", "plan", "verify", "remove"])
def test_what_is_safe_to_break_off_ends_at_once_and_says_that_it_was_told_to(
    tmp_path: Path, command: str, told: signal.Signals
) -> None:
    moves = tmp_path / "moves.yaml"
    os.mkfifo(moves)  # what reads it waits for as long as it is open
    with subprocess.Popen(
        [*COMMAND, command, "blog", "-m", str(moves), "--json"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            writer = opened(moves)
            process.send_signal(told)
            os.close(writer)  # a signal that came right before the read does not end it
            said, _ = process.communicate(timeout=END_S)
        finally:
            process.kill()
    assert process.returncode == 3
    assert json.loads(said) == {"ok": False, "exit_code": 3, "problems": ["told to stop"]}


def opened(fifo: Path) -> int:
    """Its end for writing, which there is once somebody reads (fifo(7))."""
    ends: list[int] = []

    def reads() -> bool:
        try:
            ends.append(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    until(reads, "somebody reads the file of moves", END_S)
    return ends[0]
