"""The measuring itself, on processes whose cost is known."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.benchmarks.processes import (
    NotReadyError,
    await_ready,
    core_busy_s,
    cpu_ns,
    free_port,
    pinned,
    pss_bytes,
    tree,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

CORES = os.sched_getaffinity(0) if sys.platform == "linux" else set()
WAIT_FOREVER = "import time; time.sleep(600)"


def test_cpu_time_of_another_process_includes_threads_that_have_ended() -> None:
    code = (
        "import threading, time\n"
        "def burn():\n"
        "    end = time.thread_time() + 0.2\n"
        "    while time.thread_time() < end: pass\n"
        "t = threading.Thread(target=burn); t.start(); t.join()\n"
        "print('done', flush=True); time.sleep(600)\n"
    )
    with pinned([sys.executable, "-c", code], CORES, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        assert 0.2e9 <= cpu_ns([process.pid]) < 5e9


def test_our_own_cpu_clock_is_the_one_that_is_read() -> None:
    before = time.process_time_ns()
    assert before <= cpu_ns([os.getpid()]) <= time.process_time_ns()


def test_a_tree_holds_grandchildren_and_they_are_stopped_with_it() -> None:
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {WAIT_FOREVER!r}])\n"
        "print(child.pid, flush=True); time.sleep(600)\n"
    )
    with pinned([sys.executable, "-c", code], CORES, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert tree(process.pid) == [process.pid, child]
        assert pss_bytes([process.pid, child]) > pss_bytes([child]) > 0
    deadline = time.monotonic() + 10
    while child in tree(1):
        assert time.monotonic() < deadline, "the grandchild was left behind"


def test_a_process_runs_on_its_own_cores_alone() -> None:
    core = max(CORES)
    with pinned([sys.executable, "-c", WAIT_FOREVER], {core}) as process:
        assert os.sched_getaffinity(process.pid) == {core}


def test_a_process_that_ends_at_once_is_reported_with_what_it_printed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    argv = [sys.executable, "-c", "raise SystemExit('no such directive')"]
    with (
        log.open("wb") as output,
        pinned(argv, CORES, stdout=output) as process,
        pytest.raises(NotReadyError, match="no such directive"),
    ):
        await_ready(process, log, lambda: False, within_s=30)


def test_a_process_that_never_answers_is_not_waited_for_without_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    with (
        pinned([sys.executable, "-c", WAIT_FOREVER], CORES) as process,
        pytest.raises(NotReadyError, match="did not answer within 0 s"),
    ):
        await_ready(process, log, lambda: False, within_s=0.1)


def test_a_core_counts_its_busy_time_upwards() -> None:
    core = max(CORES)
    before = core_busy_s(core)
    assert core_busy_s(core) >= before > 0


def test_a_free_port_can_be_bound() -> None:
    assert 1024 < free_port() < 65536
