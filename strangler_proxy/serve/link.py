"""The line between supervisor and worker: JSON lines over a socket pair, each call answered.

Calls are begun in the order in which they were made, and may end in another: one that waits for
something holds no other up. Either side may be killed at any moment; the other sees the end of the
stream and acts on it. A fault in the answering is an answer too: nobody waits for nothing.
"""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

log = logging.getLogger(__name__)
Message = dict[str, Any]
_LONGEST_LINE = 64 * 2**20


class LinkClosed(Exception):
    """The process at the other end is gone."""


class Link:
    """One end of the line."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        handle: Callable[[Message], Awaitable[Message]] | None = None,
    ) -> None:
        self._reader, self._writer, self._handle = reader, writer, handle
        self._numbers = count(1)
        self._awaited: dict[int, asyncio.Future[Message]] = {}
        self._handling: set[asyncio.Task[None]] = set()

    @classmethod
    async def over(
        cls,
        sock: socket.socket,
        handle: Callable[[Message], Awaitable[Message]] | None = None,
    ) -> "Link":
        """Speak over this socket; `handle` answers the calls of the other side."""
        reader, writer = await asyncio.open_connection(sock=sock, limit=_LONGEST_LINE)
        return cls(reader, writer, handle)

    async def run(self) -> None:
        """Read until the other side is gone."""
        try:
            # A line without its end is the last breath of a process that was killed.
            while (line := await self._reader.readline()).endswith(b"\n"):
                self._take(json.loads(line))
        except (ConnectionError, LinkClosed):
            pass
        finally:
            for future in self._awaited.values():
                if not future.done():
                    future.set_exception(LinkClosed())
            self._awaited.clear()
            for task in self._handling:
                task.cancel()
            self._writer.close()

    def _take(self, message: Message) -> None:
        number = message.pop("number")
        if message.pop("answers", False):
            future = self._awaited.pop(number, None)
            if future is not None and not future.done():
                future.set_result(message)
        elif self._handle is not None:
            task = asyncio.get_running_loop().create_task(self._answer(message, number))
            self._handling.add(task)
            task.add_done_callback(self._handling.discard)

    async def _answer(self, message: Message, number: int) -> None:
        if self._handle is None:
            return
        try:
            answer = await self._handle(message)
        except Exception as fault:
            log.exception("an order could not be carried out")
            answer = {"error": f"{type(fault).__name__}: {fault}"}
        with contextlib.suppress(LinkClosed):  # nobody is there to hear it
            self._send({**answer, "number": number, "answers": True})

    async def call(self, message: Message, timeout_s: float) -> Message:
        """Ask the other side; LinkClosed when it is gone, TimeoutError when it does not answer."""
        number = next(self._numbers)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._awaited[number] = future
        try:
            self._send({**message, "number": number})
            async with asyncio.timeout(timeout_s):
                return await future
        finally:
            self._awaited.pop(number, None)

    def _send(self, message: Message) -> None:
        if self._writer.is_closing():
            raise LinkClosed
        self._writer.write(json.dumps(message).encode() + b"\n")
