"""A board that all workers of a proxy read and write: one row of floats for each upstream.

It is an anonymous file in memory, made by the supervisor and inherited by its workers. A row is
guarded by a lock on one byte of that file, which the kernel lifts when its holder dies. A holder
that is merely stopped (SIGSTOP, a frozen container) stops nobody for long: the others go on without
the lock, and may lose a count.
"""

import fcntl
import mmap
import os
import time
from collections.abc import MutableSequence
from types import TracebackType

from strangler_proxy.policies.breaker import CELLS

_ROW_BYTES = CELLS * 8
ROWS = 4096
_WAIT_S = 0.25
_PAUSE_S = 50e-6
_DOUBT_S = 5.0


class BoardFull(Exception):
    """More upstreams were named since the proxy started than the board has rows."""


class Guard:
    """Held while a row is changed; one holder among all processes.

    It is waited for during a quarter of a second at most, and after that not at all for 5 s: what
    it guards takes microseconds.
    """

    def __init__(self, fd: int, byte: int) -> None:
        self._fd, self._byte = fd, byte
        self._no_wait_until = 0.0

    def __enter__(self) -> None:
        if self._taken():
            return
        now = time.monotonic()
        if now < self._no_wait_until:
            return
        while time.monotonic() < now + _WAIT_S:
            time.sleep(_PAUSE_S)
            if self._taken():
                return
        self._no_wait_until = time.monotonic() + _DOUBT_S

    def _taken(self) -> bool:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._byte)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, as POSIX leaves open
            return False
        return True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, self._byte)


class Board:
    """The shared rows, over a file descriptor that another process made, or a new one."""

    def __init__(self, fd: int | None = None) -> None:
        self.fd = _new() if fd is None else fd
        self._floats = memoryview(mmap.mmap(self.fd, ROWS * _ROW_BYTES)).cast("d")

    def cells(self, row: int) -> MutableSequence[float]:
        """The floats of one row."""
        return self._floats[row * CELLS : (row + 1) * CELLS]  # type: ignore[return-value]  # a view of doubles is one

    def guard(self, row: int) -> Guard:
        """What is held while this row is changed."""
        return Guard(self.fd, row)


class Rows:
    """Which upstream has which row: by name, and for as long as the proxy runs."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}

    def of(self, names: list[str]) -> dict[str, int]:
        """The rows of these upstreams; BoardFull when there are no more."""
        for name in names:
            if name not in self._rows:
                if len(self._rows) == ROWS:
                    raise BoardFull(f"more than {ROWS} upstreams since the start: restart it")
                self._rows[name] = len(self._rows)
        return {name: self._rows[name] for name in names}


def _new() -> int:
    fd = os.memfd_create("strangler-board", os.MFD_CLOEXEC)
    os.ftruncate(fd, ROWS * _ROW_BYTES)
    return fd
