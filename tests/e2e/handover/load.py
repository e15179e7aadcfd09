"""Clients that write notes through a proxy: `… load PORT RATE OUT [FIRST]`.

Each client sends its next note at its next turn, or when the last is answered. A line of OUT is a
note and how it was answered; on SIGTERM the clients end with an answer.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time
from pathlib import Path
from typing import TextIO

CLIENTS = 32
_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")


async def main(port: int, rate: float, out: TextIO, first: int) -> None:
    """Write until told to stop; the clients' numbers begin with `first`."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await asyncio.gather(
        *(client(first + number, port, rate, out, stop) for number in range(CLIENTS))
    )


async def client(number: int, port: int, rate: float, out: TextIO, stop: asyncio.Event) -> None:
    """One connection, one note after another."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    every_s, sent = CLIENTS / rate, 0
    turn = time.monotonic() + every_s * (number % CLIENTS) / CLIENTS
    while not stop.is_set():
        turn = max(turn + every_s, time.monotonic() - every_s)
        await asyncio.sleep(max(0.0, turn - time.monotonic()))
        sent += 1
        word = f"{number}-{sent}"
        began = time.monotonic()
        writer.write(
            b"POST /notes HTTP/1.1\r\nHost: notes\r\nContent-Length: %d\r\n\r\n%b"
            % (len(word), word.encode())
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        told = await reader.readexactly(int(length[1]) if length else 0)
        status = head.split(b" ", 2)[1].decode()
        out.write(f"{word} {status} {time.monotonic() - began:.4f} {told.decode()[:100]!r}\n")
        out.flush()
    writer.close()


if __name__ == "__main__":
    with Path(sys.argv[3]).open("w") as answers:
        first = int(sys.argv[4]) if len(sys.argv) > 4 else 0
        asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), answers, first))
