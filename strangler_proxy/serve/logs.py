"""What a process of the proxy says on standard error, written by a thread.

A reader that has stopped reading holds up that thread and nobody else: at most MOST_LINES wait,
those beyond are dropped, and how many they were is told. At an orderly end all are written.
"""

import logging
import os
import select
import threading
from contextlib import suppress
from queue import Full, Queue

MOST_LINES = 2000
END_WAIT_S = 2.0
"""So long is a reader waited for at the end."""
FORMAT = "%(asctime)s %(levelname)s [%(process)d] %(message)s"
_PATIENCE_MS = 1000


def log_aside() -> None:
    """Have all that is logged written to standard error, by a thread."""
    logging.basicConfig(level=logging.INFO, format=FORMAT, handlers=[AsideHandler(2)])


class AsideHandler(logging.Handler):
    """Writes to a file descriptor, which stays open."""

    def __init__(self, fd: int, most_lines: int = MOST_LINES) -> None:
        super().__init__()
        self._fd = fd
        self._lines: Queue[str | None] = Queue(most_lines)
        # A daemon, and no file object with a lock that the interpreter's end would wait for.
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._closed = False
        self._dropped = self._told = 0

    def emit(self, record: logging.LogRecord) -> None:
        """See Handler; never waits."""
        if not self._thread.is_alive() and not self._closed:
            self._thread.start()
        try:
            self._lines.put_nowait(self.format(record))
        except Full:
            self._dropped += 1

    def close(self) -> None:
        """Have the rest written; called at the interpreter's end."""
        if not self._closed and self._thread.is_alive():
            with suppress(Full):
                self._lines.put(None, timeout=END_WAIT_S)
            self._thread.join(END_WAIT_S)
        self._closed = True
        super().close()

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            self._write(line)
            if self._lines.empty():  # all that was kept is older than what was dropped
                self._tell_dropped()
        self._tell_dropped()

    def _tell_dropped(self) -> None:
        if new := self._dropped - self._told:
            self._told += new
            told = f"{new} messages were dropped here: nobody has read this log meanwhile"
            record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, told, None, None)
            self._write(self.format(record))

    def _write(self, line: str) -> None:
        rest = memoryview(f"{line}\n".encode("utf-8", "backslashreplace"))
        with suppress(OSError):  # closed, or the disk is full: there is nobody to tell
            while rest:
                try:
                    rest = rest[os.write(self._fd, rest) :]
                except BlockingIOError:
                    _wait_until_writable(self._fd)


def _wait_until_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll(_PATIENCE_MS)
