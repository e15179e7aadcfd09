"""An upstream that reads request bodies, keeps nothing, and answers with what it read.

Run as `python -m scripts.benchmarks.sink PORT`. A request with `X-Expected-Bytes` is answered 409
when its body has another length, so that a load generator that sees only statuses still notices
a lost byte. With `X-Checksum: crc32` the answer holds the body's CRC as well.
"""

import asyncio
import json
import sys
import zlib
from http import HTTPStatus
from typing import cast

import httptools
import uvloop


class Sink(asyncio.Protocol):
    """One connection; requests are answered one after another, each when its body has ended."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._reset()

    def _reset(self) -> None:
        self._seen: dict[str, str] = {}
        self._bytes = 0
        self._crc = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class, not a subclass

    def data_received(self, data: bytes) -> None:
        """Parse, and give up on what is not HTTP."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": "this was no HTTP request"})
            self._transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; httptools calls this and the two below."""
        self._seen[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Count a piece of the body, and forget it."""
        self._bytes += len(body)
        if "x-checksum" in self._seen:
            self._crc = zlib.crc32(body, self._crc)

    def on_message_complete(self) -> None:
        """Answer with what was counted."""
        expected = self._seen.get("x-expected-bytes", str(self._bytes))
        status = HTTPStatus.OK if expected == str(self._bytes) else HTTPStatus.CONFLICT
        self._answer(status, {"bytes": self._bytes, "crc32": self._crc})
        self._reset()

    def _answer(self, status: HTTPStatus, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + body)


async def serve(port: int) -> None:
    """Listen on the loopback interface until cancelled or killed."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
