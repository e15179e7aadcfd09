"""Files that several processes change: who has a lock, and what becomes of those who wait."""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from strangler_proxy.shared_files import folder_locked, holder_in, replace_text

LOCK = """
import fcntl, os, subprocess, sys
fcntl.flock(folder := os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def somebody_has(folder: Path) -> Iterator[int]:
    """Another process has locked the folder; its pid."""
    command = [sys.executable, "-c", LOCK, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield process.pid


def test_a_folder_that_somebody_keeps_is_given_up_in_time_and_says_who(tmp_path: Path) -> None:
    with somebody_has(tmp_path) as pid:
        told = rf"locked by pid {pid} \(.+\)"
        with pytest.raises(TimeoutError, match=told), folder_locked(tmp_path, 0.05):
            pytest.fail("two have it")
    with folder_locked(tmp_path, 0):
        pass


def test_who_waits_has_it_once_it_is_free(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    timer = threading.Timer(0.1, os.close, [folder])
    timer.start()
    with folder_locked(tmp_path, 20):
        pass
    timer.join()


def test_a_lock_on_another_filesystem_is_not_taken_for_this_one() -> None:
    locks = (
        "1: POSIX  ADVISORY  WRITE 12 fe:00:77 0 EOF\n"
        "2: FLOCK  ADVISORY  WRITE 34 00:2b:77 0 EOF\n"
        "2: -> FLOCK  ADVISORY  WRITE 56 00:2b:77 0 EOF\n"
    )
    assert holder_in(locks, "0:43", 77) == 34
    assert holder_in(locks, "0:44", 77) is None
    assert holder_in(locks, "0:43", 7) is None
    assert holder_in(locks, "254:0", 77) is None


def test_a_text_that_cannot_be_written_leaves_the_old_one_and_nothing_beside(
    tmp_path: Path,
) -> None:
    path = tmp_path / "seams.json"
    replace_text(path, "old")
    path.chmod(0o640)
    with pytest.raises(UnicodeEncodeError):
        replace_text(path, "new \udc80")
    assert [each.name for each in tmp_path.iterdir()] == ["seams.json"]
    replace_text(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640
