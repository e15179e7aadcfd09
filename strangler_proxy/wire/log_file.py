"""A file that lines are appended to by a thread, so that no disk or pipe holds up the event loop.

At most `MOST_BYTES` wait; lines beyond that are dropped and counted. Every write is of whole lines,
and to an O_APPEND file: the workers of one proxy may share it.
"""

import contextlib
import logging
import os
import select
import stat
import threading
from collections.abc import Iterator
from queue import SimpleQueue

log = logging.getLogger(__name__)
MOST_BYTES = 4 * 2**20
EARLY_BYTES = 65_536
"""So much is written before the next tick."""
# A write of up to this length to a pipe is never mixed with another's (pipe(7), PIPE_BUF).
PIPE_BYTES = 4096
STANDARD_OUTPUT = "-"
_PATIENCE_MS = 1000


class LogFile:
    """Appends lines; all methods are for one thread, that of the event loop."""

    def __init__(self, path: str, stdout: int = 1) -> None:
        self._sink = _Sink(path, stdout)
        self._jobs: SimpleQueue[list[bytes] | None] = SimpleQueue()
        # A daemon: a reader that has stopped reading must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="access log", daemon=True)
        self._lines: list[bytes] = []
        self._taken_bytes = 0
        self._refused = 0
        self._closed = False
        self._given = 0
        # These two are the thread's: it alone changes them.
        self._finished = 0
        self._written_bytes = 0

    @property
    def dropped(self) -> int:
        """Lines that were not written: no room, or the file did not take them."""
        return self._refused + self._sink.lost

    def write(self, line: bytes) -> None:
        """Take a line, with its line end; it is in the file some time after the next `flush`."""
        waiting = self._taken_bytes - self._written_bytes + len(line)
        if waiting > MOST_BYTES or self._closed:
            self._refused += 1
            return
        self._taken_bytes += len(line)
        self._lines.append(line)
        if waiting > EARLY_BYTES:
            self.flush()

    def flush(self) -> None:
        """Have what was taken written, unless the thread is still at what it had before."""
        if self._lines and self._given == self._finished:
            self._hand_over()

    def _hand_over(self) -> None:
        if not self._given:
            self._thread.start()
        self._given += 1
        self._jobs.put(self._lines)
        self._lines = []

    def close(self, wait_s: float = 0.0) -> None:
        """Take no more, and have the rest written; `wait_s`: how long to wait for that."""
        if self._closed:
            return
        self._closed = True
        if self._lines:
            self._hand_over()
        if self._given:
            self._jobs.put(None)
            if wait_s:
                self._thread.join(wait_s)

    def _work(self) -> None:
        while (lines := self._jobs.get()) is not None:
            self._sink.append(lines)
            self._written_bytes += sum(map(len, lines))
            self._finished += 1
        self._sink.close()


class _Sink:
    """The file itself, opened when first needed and again when it was moved away; blocks."""

    def __init__(self, path: str, stdout: int) -> None:
        self._path = path
        self._handle = stdout if path == STANDARD_OUTPUT else -1
        self._owned = path != STANDARD_OUTPUT
        self._torn = False
        self._in_trouble = False
        self.lost = 0

    def append(self, lines: list[bytes]) -> None:
        """Write the lines; those that cannot be are counted, and the reason is told once."""
        left = len(lines)
        try:
            handle = self._open()
            for count, batch in _batches(lines, self._batch_bytes(handle)):
                self._write(handle, batch)
                left -= count
        except (OSError, ValueError) as fault:  # ValueError: a path with a NUL in it
            self.lost += left
            if not self._in_trouble:
                log.error("access log %s: lines are lost: %s", self._path, fault)  # noqa: TRY400 - the reason is told
            self._in_trouble = True
        else:
            if self._in_trouble:
                log.warning("access log %s: written again", self._path)
            self._in_trouble = False

    def _open(self) -> int:
        if not self._owned:
            return self._handle
        if self._handle >= 0 and not self._is_in_place():
            self.close()
        if self._handle < 0:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
            self._handle = os.open(self._path, flags, 0o640)
            self._torn = False
        return self._handle

    def _is_in_place(self) -> bool:
        """Whether the path still leads to the file that is open: a rotation renames or removes."""
        try:
            there = os.stat(self._path)
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self._handle))

    def _batch_bytes(self, handle: int) -> int:
        return EARLY_BYTES if stat.S_ISREG(os.fstat(handle).st_mode) else PIPE_BYTES

    def _write(self, handle: int, batch: bytes) -> None:
        if self._torn:  # what was cut off stays so; the next line is not glued to it
            batch = b"\n" + batch
        rest = memoryview(batch)
        while rest:
            try:
                written = os.write(handle, rest)
            except BlockingIOError:  # standard output may be set so by who shares it
                _wait_until_writable(handle)
                continue
            except OSError:
                self._torn = self._torn or len(rest) < len(batch)
                raise
            rest = rest[written:]
        self._torn = False

    def close(self) -> None:
        """Close a file of one's own."""
        if self._owned and self._handle >= 0:
            with contextlib.suppress(OSError):
                os.close(self._handle)
            self._handle = -1


def _wait_until_writable(handle: int) -> None:
    poll = select.poll()
    poll.register(handle, select.POLLOUT)
    poll.poll(_PATIENCE_MS)


def _batches(lines: list[bytes], most_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Whole lines put together as (how many, bytes), none longer than it must be."""
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and size + len(line) > most_bytes:
            yield len(batch), b"".join(batch)
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield len(batch), b"".join(batch)
