"""A line to a server that can be cut and mended, or on which the server falls silent."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator


class Line:
    """Passes bytes to a server for as long as it is not cut; cut, it closes and refuses.

    With `cut_after`, the connection on which so many more bytes have gone to the server ends there.
    """

    def __init__(self, host: str, port: int) -> None:
        self.cut_after: int | None = None
        self._heard = threading.Event()
        self._heard.set()
        self._to = (host, port)
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listening: socket.socket | None = None
        self.port = 0
        self.mend()

    def mend(self) -> None:
        """Take connections again, at the same port."""
        listening = socket.create_server(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        self._listening = listening
        self._run(self._accept, listening)

    def cut(self) -> None:
        """End every connection in its tracks, and take no more."""
        listening, self._listening = self._listening, None
        if listening is not None:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        with self._lock:
            ending, self._open = self._open, []
        for each in ending:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def silence(self) -> None:
        """Pass on nothing more of what the server says."""
        self._heard.clear()

    def close(self) -> None:
        self._heard.set()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            far = socket.create_connection(self._to, timeout=5)
            far.settimeout(None)
            with self._lock:
                self._open += [near, far]
            self._run(self._pass, near, far)

    def _pass(self, near: socket.socket, far: socket.socket) -> None:
        back = threading.Thread(target=_pump, args=(far, near, self._hear), daemon=True)
        back.start()
        _pump(near, far, self._count)
        back.join(10)
        with self._lock:
            self._open = [each for each in self._open if each not in (near, far)]
        near.close()
        far.close()

    def _hear(self, data: bytes) -> bytes:
        self._heard.wait()
        return data

    def _count(self, data: bytes) -> bytes:
        if self.cut_after is None:
            return data
        passed = data[: self.cut_after]
        self.cut_after = self.cut_after - len(data) if passed == data else None
        return passed

    def _run(self, act: object, *arguments: object) -> None:
        thread = threading.Thread(target=act, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()


def _pump(source: socket.socket, target: socket.socket, through: Callable[[bytes], bytes]) -> None:
    """Pass bytes on until there are no more, or `through` gives back fewer."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            passed = through(data)
            target.sendall(passed)
            if passed != data:
                break
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def line_to(host: str, port: int) -> Iterator[Line]:
    line = Line(host, port)
    try:
        yield line
    finally:
        line.close()
