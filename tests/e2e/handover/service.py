"""A service that writes notes to a database: `python -m tests.e2e.handover.service URL`.

Each POST is one transaction; it is answered when that is committed. One of "wait" writes nothing,
and is answered when one of "go" comes. Prints its port, and that one waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys

from strangler_proxy.handover.databases import open_database

_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")


async def main(url: str) -> None:
    """Serve until killed."""
    database = open_database(url).session(statement_s=10.0)
    mark = database.dialect.placeholder
    if database.dialect.kind == "sqlite":
        database.execute("PRAGMA synchronous = NORMAL")

    told_to_go = asyncio.Event()

    def write(word: str) -> None:
        with database.transaction():
            writer = int(word.partition("-")[0])
            database.execute(f"INSERT INTO notes (word) VALUES ({mark})", (word,))
            database.execute(f"UPDATE counters SET n = n + 1 WHERE id = {mark}", (writer,))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                status, told = b"200 OK", b"written"
                try:
                    if body == b"wait":
                        sys.stdout.write("waits\n")
                        sys.stdout.flush()
                        await told_to_go.wait()
                    elif body == b"go":
                        told_to_go.set()
                    else:
                        write(body.decode())
                except Exception as fault:  # noqa: BLE001 - each database refuses by its own error
                    status, told = b"500 Refused", repr(fault).encode()
                writer.write(
                    b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(told), told)
                )
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
