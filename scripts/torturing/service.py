"""A service before one side's database: `python -m scripts.torturing.service URL PORT THREADS`.

POST /items with {kind, word, mark, value}; answered when the database has answered. 200 with what
was found or written, 409 when nothing was changed, 500 when nobody knows. Killed at any time.
"""

import asyncio
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue

from scripts.torturing.history import Kind, Outcome
from scripts.torturing.orphans import end_with_parent
from scripts.torturing.writing import Writer

_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
_STATUS = {
    Outcome.OK: b"200 OK",
    Outcome.REFUSED: b"409 Conflict",
    Outcome.UNKNOWN: b"500 Internal Server Error",
}


async def main(url: str, port: int, threads: int) -> None:
    """Serve until killed."""
    writers: SimpleQueue[Writer] = SimpleQueue()
    for _ in range(threads):
        writers.put(Writer(url))
    pool, loop = ThreadPoolExecutor(threads), asyncio.get_running_loop()

    def work(body: bytes) -> tuple[bytes, bytes]:
        asked, writer = json.loads(body), writers.get()
        try:
            outcome, value, told = writer.carry_out(
                Kind(asked["kind"]), asked["word"], asked["mark"], asked["value"]
            )
        finally:
            writers.put(writer)
        answer = {"outcome": outcome, "value": value, "told": told}
        return _STATUS[outcome], json.dumps(answer).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                status, answer = await loop.run_in_executor(pool, work, body)
                writer.write(
                    b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(answer), answer)
                )
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, reuse_address=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    end_with_parent()
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
