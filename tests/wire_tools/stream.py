"""Read HTTP/1.1 from a socket as strictly as the RFCs allow: a laxer reader would hide faults."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field

Header = tuple[bytes, bytes]
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([^\r\n\0]*)")


class Broken(Exception):
    """The peer ended or reset the connection in the middle of a message."""


class Ended(Exception):
    """The peer ended the connection between two messages."""


@dataclass
class Message:
    """What a request and an answer have in common."""

    headers: list[Header] = field(default_factory=list)
    body: bytes = b""
    trailers: list[Header] = field(default_factory=list)

    def all(self, name: str) -> list[bytes]:
        """Every value of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower().encode()]

    def header(self, name: str) -> bytes | None:
        """The only value of a header; more than one is a fault."""
        values = self.all(name)
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None


class Stream:
    """A socket with a buffer; every wait is bounded by the socket's timeout."""

    def __init__(self, sock: socket.socket, *, extensions: bool = False) -> None:
        self.sock = sock
        self.buffer = bytearray()
        self._extensions = extensions
        """Whether chunks may have extensions; the proxy itself writes none."""

    def fill(self) -> bool:
        """Read some more; false at the peer's end."""
        try:
            data = self.sock.recv(65536)
        except ConnectionError as fault:
            raise Broken("reset") from fault
        self.buffer += data
        return bool(data)

    def until(self, mark: bytes) -> bytes:
        """All up to and with `mark`, without it."""
        while (at := self.buffer.find(mark)) < 0:
            if not self.fill():
                raise Broken(bytes(self.buffer)) if self.buffer else Ended
        data = bytes(self.buffer[:at])
        del self.buffer[: at + len(mark)]
        return data

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes."""
        while len(self.buffer) < size:
            if not self.fill():
                raise Broken(f"{size - len(self.buffer)} bytes are missing")
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def rest(self) -> bytes:
        """All that comes before the peer's orderly end."""
        while self.fill():
            pass
        data, self.buffer = bytes(self.buffer), bytearray()
        return data

    def head(self) -> tuple[bytes, list[Header]]:
        """A start line and its header fields."""
        start, *lines = self.until(b"\r\n\r\n").split(b"\r\n")
        return start, [_field(line) for line in lines]

    def chunked(self) -> tuple[bytes, list[Header]]:
        """A chunked body and its trailers."""
        body = bytearray()
        try:
            while size := int(self._chunk_size(), 16):
                body += self.exactly(size)
                assert self.exactly(2) == b"\r\n"
            trailers = []
            while line := self.until(b"\r\n"):
                trailers.append(_field(line))
        except Ended as fault:
            raise Broken("the chunked body has no end") from fault
        return bytes(body), trailers

    def _chunk_size(self) -> bytes:
        line = self.until(b"\r\n")
        if self._extensions:
            line = line.partition(b";")[0]
        assert re.fullmatch(rb"[0-9a-fA-F]{1,16}", line), line
        return line


def _field(line: bytes) -> Header:
    found = _FIELD.fullmatch(line)
    assert found is not None, f"not a header field: {line!r}"
    return found[1], found[2]
