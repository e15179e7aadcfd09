"""What a torture has started does not outlive it, even when the runner is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.wire_tools.proxy import until

CHILD = """
import time
from scripts.torturing.orphans import end_with_parent
end_with_parent()
print(flush=True)
time.sleep(60)
"""
RUNNER = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_part_whose_runner_is_killed_ends_by_itself() -> None:
    runner = subprocess.Popen([sys.executable, "-c", RUNNER], stdout=subprocess.PIPE, text=True)
    assert runner.stdout is not None
    child = int(runner.stdout.readline())
    try:
        assert alive(child)
        runner.kill()
        runner.wait()
        until(lambda: not alive(child), "the part ends", 20.0)
    finally:
        runner.stdout.close()
        if alive(child):
            os.kill(child, signal.SIGKILL)
