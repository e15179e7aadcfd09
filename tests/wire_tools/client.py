"""A client that sends whatever bytes it is given and reads answers strictly."""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from tests.wire_tools.stream import Broken, Message, Stream

TIMEOUT_S = 5.0
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ([^\r\n]*)")


@dataclass
class Answer(Message):
    """One final answer, and the interim ones that came before it."""

    status: int = 0
    reason: bytes = b""
    interim: list[Answer] = field(default_factory=list)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Client:
    """One connection to the proxy."""

    def __init__(
        self,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
        receive_buffer: int | None = None,
    ) -> None:
        sock = socket.socket()
        sock.settimeout(timeout_s)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            sock.connect(("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        if tls is not None:
            self.sock = tls.wrap_socket(
                sock, server_hostname="localhost", suppress_ragged_eofs=False
            )
        self.stream = Stream(self.sock)

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.sock.sendall(data)

    def get(self, target: str, *lines: str) -> None:
        """Send a GET with these further header lines."""
        self.request("GET", target, *lines)

    def request(self, method: str, target: str, *lines: str, body: bytes | None = None) -> None:
        """Send a request; a body is sent counted."""
        counted = [f"Content-Length: {len(body)}"] if body is not None else []
        head = [f"{method} {target} HTTP/1.1", "Host: blog.test", *counted, *lines, "", ""]
        self.send("\r\n".join(head).encode("latin-1") + (body or b""))

    def head(self) -> Answer:
        """The head of the next message."""
        start, headers = self.stream.head()
        found = _STATUS.fullmatch(start)
        assert found is not None, f"not a status line: {start!r}"
        return Answer(status=int(found[1]), reason=found[2], headers=headers)

    def answer(self, method: str = "GET") -> Answer:
        """Read a whole answer to a request of this method; Broken when it is cut."""
        interim = []
        while (answer := self.head()).status < 200:
            assert answer.status != 101, "the proxy switched protocols"
            interim.append(answer)
        answer.interim = interim
        self.body_of(answer, method)
        return answer

    def body_of(self, answer: Answer, method: str = "GET") -> None:
        """Read the body that belongs to a head."""
        coding, length = answer.header("Transfer-Encoding"), answer.header("Content-Length")
        assert coding is None or length is None, "framed in two ways"
        if method == "HEAD" or answer.status in (204, 304):
            return
        if coding is not None:
            assert coding == b"chunked"
            answer.body, answer.trailers = self.stream.chunked()
        elif length is not None:
            answer.body = self.stream.exactly(int(length))
        else:
            answer.body = self.stream.rest()

    def ask(self, target: str, *lines: str) -> Answer:
        """GET and its answer."""
        self.get(target, *lines)
        return self.answer()

    def ended(self) -> bool:
        """Whether the proxy ends the connection with nothing more said; in order or by a reset."""
        try:
            return self.stream.rest() == b""
        except Broken:
            return not self.stream.buffer

    def end(self) -> None:
        """Say no more, but read on."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Hang up the hard way."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Hang up."""
        self.sock.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
