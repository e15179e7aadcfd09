"""What a step began, and has left at work by being killed: no other begins beside it.

The lock is the kernel's, of an open file that a process shares with those that it starts with the
descriptor (flock(2)): so it is had from before such a process begins until the last of them ends.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(path: Path) -> Iterator[int | None]:
    """Have the lock: the descriptor to start a process with; None while another has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield file if _locked(file, fcntl.LOCK_EX) else None
    finally:
        os.close(file)


def at_work(path: Path) -> bool:
    """Whether somebody has the lock now."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _locked(file, fcntl.LOCK_SH)
    finally:
        os.close(file)


def _locked(file: int, how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
