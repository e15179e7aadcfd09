"""A board that all workers of a proxy read and write: one row of floats for each upstream.

It is an anonymous file in memory, made by the supervisor and inherited by its workers. A row is
guarded by a lock on one byte of that file, which the kernel lifts when its holder dies. A holder
that is merely stopped (SIGSTOP, a frozen container) stops nobody for long: the others go on without
the lock, and may lose a count.
"""

import mmap
import os
from collections.abc import MutableSequence
from types import TracebackType

from strangler_proxy.policies.breaker import CELLS
from strangler_proxy.policies.locks import ByteLocks

_ROW_BYTES = CELLS * 8
ROWS = 4096


class BoardFull(Exception):
    """More upstreams were named since the proxy started than the board has rows."""


class Guard:
    """Held while a row is changed; one holder among all processes, as far as locks.py can say."""

    def __init__(self, locks: ByteLocks, byte: int) -> None:
        self._locks, self._byte = locks, byte

    def __enter__(self) -> None:
        self._locks.take(self._byte)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._locks.release(self._byte)


class Board:
    """The shared rows, over a file descriptor that another process made, or a new one."""

    def __init__(self, fd: int | None = None) -> None:
        self.fd = _new() if fd is None else fd
        self._locks = ByteLocks(self.fd)
        self._floats = memoryview(mmap.mmap(self.fd, ROWS * _ROW_BYTES)).cast("d")

    def cells(self, row: int) -> MutableSequence[float]:
        """The floats of one row."""
        return self._floats[row * CELLS : (row + 1) * CELLS]  # type: ignore[return-value]  # a view of doubles is one

    def guard(self, row: int) -> Guard:
        """What is held while this row is changed."""
        return Guard(self._locks, row)


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
