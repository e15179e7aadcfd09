"""Looking names up without being held up: in threads, few of them, each name once at a time.

The loop's own executor will not do: a resolver that hangs would fill its threads, and an
interpreter that ends waits for them. These are daemons, and nobody waits.
"""

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from strangler_proxy.config.address import Address

MOST_THREADS = 64
Found = tuple[Address, ...] | OSError
_Key = tuple[str, int]


class Names:
    """The system's resolver. `getaddrinfo` has the standard library's signature."""

    def __init__(
        self, getaddrinfo: Callable[..., Any] = socket.getaddrinfo, most: int = MOST_THREADS
    ) -> None:
        self._getaddrinfo = getaddrinfo
        self._most = most
        self._pending: dict[_Key, asyncio.Future[Found]] = {}
        self._queue: deque[_Key] = deque()
        self.threads = 0

    async def look_up(self, host: str, port: int) -> tuple[Address, ...]:
        """All addresses of a name, each once, sorted; OSError when there are none.

        The caller bounds the wait. A lookup that was given up goes on, and whoever asks for the
        same name meanwhile waits for it too.
        """
        key = host, port
        lookup = self._pending.get(key)
        if lookup is None:
            lookup = self._pending[key] = asyncio.get_running_loop().create_future()
            self._queue.append(key)
            self._start()
        found = await asyncio.shield(lookup)
        if isinstance(found, OSError):
            raise found
        return found

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue and self.threads < self._most:
            key = self._queue.popleft()
            self.threads += 1
            thread = threading.Thread(
                target=self._run, args=(loop, key), name=f"look up {key[0]}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as fault:  # the system has no thread to give
                loop.call_soon(self._finish, key, OSError(str(fault)))

    def _run(self, loop: asyncio.AbstractEventLoop, key: _Key) -> None:
        found = self._find(*key)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._finish, key, found)

    def _find(self, host: str, port: int) -> Found:
        # Addresses of a kind that this machine has no way to are left out (RFC 3493, 6.1).
        flags = 0 if _is_literal(host) else socket.AI_ADDRCONFIG
        try:
            rows = self._getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        except OSError as fault:
            return fault
        except UnicodeError:
            return OSError(f"{host!r} cannot be a host's name")
        return tuple(sorted({Address(row[4][0], row[4][1]) for row in rows}))

    def _finish(self, key: _Key, found: Found) -> None:
        self.threads -= 1
        lookup = self._pending.pop(key)
        if not lookup.done():
            lookup.set_result(found)
        self._start()


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
