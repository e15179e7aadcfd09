"""A small real server to be killed, stopped and led astray; a program of its own.

`python service.py NAME PORT JOURNAL`. What it does is told on its standard input, a line each, and
confirmed on its standard output. Each whole request is written into the journal before anything
is answered, so that what a killed server has carried out is known.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from collections import Counter
from pathlib import Path

BODY_BYTES = 4096


def answer_body(name: str, number: int) -> bytes:
    """What a server of this name answers to a request of this number."""
    told = b"%s %d\n" % (name.encode(), number)
    return (told * (BODY_BYTES // len(told) + 1))[:BODY_BYTES]


def is_hit(number: int) -> bool:
    """Whether a flaky server resets the request of this number; clients ask in no step with it."""
    return number.bit_count() % 3 == 0


class Server:
    """Answers as it was told last: `normal`, or one of the methods below with its arguments."""

    def __init__(self, name: str, journal: Path) -> None:
        self.name = name
        self._keys = journal.with_suffix(".keys")
        self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._behaviour = ["normal"]
        self._asked = Counter[int]()

    def behave(self, words: list[str]) -> None:
        assert hasattr(self, words[0]), words
        self._behaviour = words

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._one(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = start.split(" ")
        length = next((int(v) for n, _, v in map(_field, lines) if n == "content-length"), 0)
        await reader.readexactly(length)
        path, _, number = target.partition("?")
        if path in ("/health", "/keys"):
            found = self._keys.exists() if path == "/keys" else True
            body = self._keys.read_bytes() if path == "/keys" and found else b""
            writer.write(_head(len(body), 200 if found else 404) + body)
            return
        os.write(self._journal, f"{method} {number}\n".encode())
        self._asked[int(number)] += 1
        what, *arguments = self._behaviour
        body = answer_body(self.name, int(number))
        await getattr(self, what)(writer, body, *map(float, arguments))

    async def normal(self, writer: asyncio.StreamWriter, body: bytes) -> None:
        writer.write(_head(len(body)) + body)
        await writer.drain()

    async def slow(self, writer: asyncio.StreamWriter, body: bytes, pause_s: float) -> None:
        """Nothing for this long, then the answer."""
        await asyncio.sleep(pause_s)
        await self.normal(writer, body)

    async def stall(self, writer: asyncio.StreamWriter, body: bytes) -> None:
        """Half the answer, and no more."""
        writer.write(_head(len(body)) + body[: len(body) // 2])
        await asyncio.sleep(3600)

    async def trickle(self, writer: asyncio.StreamWriter, body: bytes, every_s: float) -> None:
        """The answer in sixteen pieces."""
        writer.write(_head(len(body)))
        for at in range(0, len(body), len(body) // 16):
            await asyncio.sleep(every_s)
            writer.write(body[at : at + len(body) // 16])
            await writer.drain()

    async def garbage(self, writer: asyncio.StreamWriter, body: bytes) -> None:
        """Bytes that are no HTTP, with what looks like an answer behind them."""
        writer.write(b"\x00\xff garbage \r\n\r\n" + _head(len(body)) + body)
        await writer.drain()

    async def reset(self, writer: asyncio.StreamWriter, body: bytes) -> None:
        """A reset in place of an answer."""
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        raise ConnectionResetError

    async def cut(self, writer: asyncio.StreamWriter, body: bytes) -> None:
        """Half the answer, then an orderly end of the connection."""
        writer.write(_head(len(body)) + body[: len(body) // 2])
        await writer.drain()
        raise ConnectionResetError

    async def flaky(self, writer: asyncio.StreamWriter, body: bytes, times: float) -> None:
        """So many resets for some requests before their answer."""
        number = int(body.split(None, 2)[1])
        good = not is_hit(number) or self._asked[number] > times
        await (self.normal if good else self.reset)(writer, body)

    async def error(self, writer: asyncio.StreamWriter, body: bytes, status: float) -> None:
        """Its own failure, told as HTTP tells it."""
        writer.write(_head(len(body), int(status)) + body)
        await writer.drain()


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def _head(length: int, status: int = 200) -> bytes:
    return f"HTTP/1.1 {status} Told\r\nContent-Length: {length}\r\n\r\n".encode()


def _field(line: str) -> tuple[str, str, str]:
    name, colon, value = line.partition(":")
    return name.lower(), colon, value.strip()


async def main(name: str, port: int, journal: Path) -> None:
    server = Server(name, journal)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", port, backlog=1024)
    _say("ready")
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        server.behave(line.decode().split())
        _say("done")
    listening.close()  # whoever started it is gone


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
