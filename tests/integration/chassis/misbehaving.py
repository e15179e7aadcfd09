"""A server on a real socket that does to each request, in turn, what the test has told it to."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType

Deed = Callable[[socket.socket], None]


def answer(status: int, body: bytes = b"{}", headers: str = "", *, close: bool = False) -> Deed:
    """A whole answer; `headers` are lines, each with its line end."""
    headers += "Connection: close\r\n" if close else ""
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return lambda connection: connection.sendall(head.encode() + body)


def send(data: bytes) -> Deed:
    """These bytes, and then the end of the connection."""

    def deed(connection: socket.socket) -> None:
        connection.sendall(data)
        hang_up(connection)

    return deed


def hang_up(connection: socket.socket) -> None:
    """An orderly end in place of an answer."""
    connection.shutdown(socket.SHUT_RDWR)


def reset(connection: socket.socket) -> None:
    """RST in place of an answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Misbehaving:
    """Does `deeds` one after the other, the last for ever; `requests` are the heads it has read.

    `connections` counts those that brought a request. `closing` is set when it stops.
    """

    def __init__(self, *deeds: Deed, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.deeds = list(deeds)
        self.requests: list[bytes] = []
        self.connections = 0
        self.closing = threading.Event()
        self._tls = tls
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://localhost:{self.port}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def drip(self, data: bytes, every_s: float = 0.02) -> Deed:
        """A deed: one byte of `data` now and then, until it is all out or the server stops."""

        def deed(connection: socket.socket) -> None:
            for byte in data:
                connection.sendall(bytes([byte]))
                if self.closing.wait(every_s):
                    return

        return deed

    def hold(self, until: threading.Event, then: Deed) -> Deed:
        """A deed: nothing until the event, or until the server stops."""

        def deed(connection: socket.socket) -> None:
            while not until.wait(0.005) and not self.closing.is_set():
                pass
            then(connection)

        return deed

    def silence(self, connection: socket.socket) -> None:
        """A deed: nothing at all until the server stops."""
        self.closing.wait(30)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(0.01)
        with contextlib.suppress(OSError):
            if self._tls is not None:
                connection.settimeout(5)
                connection = self._tls.wrap_socket(connection, server_side=True)
                connection.settimeout(0.01)
            self._requests(connection)
        connection.close()

    def _requests(self, connection: socket.socket) -> None:
        first = True
        while head := self._read(connection):
            with self._lock:
                self.connections += first
                first = False
                self.requests.append(head)
                deed = self.deeds.pop(0) if len(self.deeds) > 1 else self.deeds[0]
            connection.settimeout(5)
            deed(connection)
            connection.settimeout(0.01)

    def _read(self, connection: socket.socket) -> bytes:
        data = b""
        while not self.closing.is_set():
            with contextlib.suppress(TimeoutError):
                more = connection.recv(65536)
                if not more:
                    return b""
                data += more
            head, end, body = data.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            if end and len(body) >= (int(length[1]) if length else 0):
                return head + end
        return b""

    def close(self) -> None:
        self.closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def __enter__(self) -> Misbehaving:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
