"""Clients of the proxy: `python -m scripts.torturing.clients PORT RATE COUNT SEED HISTORY`.

Each sends its next operation at its next turn, or when the last is answered; a broken connection is
opened anew. On SIGTERM all end with an answer.
"""

import asyncio
import json
import random
import re
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from scripts.torturing.choosing import Choosing
from scripts.torturing.history import Kind, Operation, Outcome, append
from scripts.torturing.orphans import end_with_parent

PATIENCE_S = 30.0
AFTER_FAILURE_S = 0.02
_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")


class Connection:
    """One client's connection to the proxy."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, body: bytes) -> tuple[int, bytes]:
        """Status and body. Raises OSError, EOFError and TimeoutError; it is then opened anew."""
        try:
            return await asyncio.wait_for(self._ask(body), PATIENCE_S)
        except BaseException:
            self.close()
            raise

    async def _ask(self, body: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(
            b"POST /items HTTP/1.1\r\nHost: items\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        told = await reader.readexactly(int(length[1]) if length else 0)
        if b"onnection: close" in head:
            self.close()
        return int(head.split(b" ", 2)[1]), told

    def close(self) -> None:
        """Break off."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


async def client(
    name: str, port: int, every_s: float, rng: random.Random, out: TextIO, stop: asyncio.Event
) -> None:
    """One operation after another, until told to stop."""
    choosing, connection = Choosing(name, rng), Connection(port)
    turn = time.monotonic() + every_s * rng.random()
    while not stop.is_set():
        turn = max(turn + every_s, time.monotonic() - every_s)
        await asyncio.sleep(max(0.0, turn - time.monotonic()))
        kind, word, mark, value = choosing.next()
        sent = Operation(name, kind, word, mark, value, time.monotonic())
        append(out, sent)
        outcome, found, told = await _carried_out(connection, kind, word, mark, value)
        if outcome != Outcome.OK:
            await asyncio.sleep(AFTER_FAILURE_S)
        choosing.ended(kind, word, outcome)
        ended = replace(sent, ended=time.monotonic(), outcome=outcome, told=told)
        append(out, replace(ended, value=found) if kind == Kind.READ else ended)
    connection.close()


async def _carried_out(
    connection: Connection, kind: Kind, word: str, mark: str, value: int | None
) -> tuple[Outcome, int | None, str]:
    body = json.dumps({"kind": kind, "word": word, "mark": mark, "value": value}).encode()
    try:
        status, answer = await connection.ask(body)
    except (OSError, EOFError, TimeoutError) as fault:
        return Outcome.UNKNOWN, None, f"{type(fault).__name__}: {fault}"
    if status not in (200, 409):
        return Outcome.UNKNOWN, None, f"{status} {answer.decode(errors='replace')[:120]}"
    told = json.loads(answer)
    return Outcome(told["outcome"]), told["value"], f"{status} {told['told']}"


async def main(port: int, rate: float, count: int, seed: int, out: TextIO) -> None:
    """So many clients, with `rate` operations a second in all."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await asyncio.gather(
        *(
            client(f"c{number}", port, count / rate, random.Random(f"{seed}-{number}"), out, stop)  # noqa: S311 - no secret
            for number in range(count)
        )
    )


if __name__ == "__main__":
    end_with_parent()
    with Path(sys.argv[5]).open("a", encoding="utf-8") as history:
        asyncio.run(
            main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), history)
        )
