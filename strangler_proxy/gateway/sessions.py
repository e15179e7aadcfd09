"""The HTTP clients of the supervisor: no cookies, no proxy of the environment, own name lookup."""

import asyncio
import os
import socket
import ssl

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from strangler_proxy.gateway.discovery.names import Names


def open_session(names: Names, *, keep: bool) -> aiohttp.ClientSession:
    """A client to be closed by its owner; `keep`: connections are used again.

    It bounds neither the connections nor the time: whoever asks does.
    """
    connector = aiohttp.TCPConnector(
        resolver=_Resolver(names), use_dns_cache=False, force_close=not keep, limit=0
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "strangler-proxy"},
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        trust_env=False,
    )


def reason(fault: Exception) -> str:
    """Why a request failed, in words for people."""
    if isinstance(fault, aiohttp.ClientConnectorCertificateError):
        return f"{fault.host}:{fault.port} cannot be trusted: {fault.certificate_error}"
    if isinstance(fault, aiohttp.ClientConnectorError):
        return f"{fault.host}:{fault.port} cannot be reached: {_told(fault.os_error)}"
    return str(fault) or type(fault).__name__


def _told(fault: OSError) -> str:
    # A resolver's numbers are negative, and those of TLS are not the system's.
    if isinstance(fault, ssl.SSLError) or fault.errno is None or fault.errno <= 0:
        return fault.strerror or str(fault)
    return os.strerror(fault.errno)


class Sessions:
    """The two clients that are shared, each opened when it is first used."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._open: dict[bool, aiohttp.ClientSession] = {}

    @property
    def kept(self) -> aiohttp.ClientSession:
        """Uses its connections again."""
        return self._get(keep=True)

    @property
    def fresh(self) -> aiohttp.ClientSession:
        """Opens a connection for each request, and closes it after."""
        return self._get(keep=False)

    async def close(self) -> None:
        """Close what was opened."""
        while self._open:
            await self._open.popitem()[1].close()
        # Transports close in the loop's next turns; a handshake that was cut short takes two.
        for _ in range(3):
            await asyncio.sleep(0)

    def _get(self, *, keep: bool) -> aiohttp.ClientSession:
        if keep not in self._open:
            self._open[keep] = open_session(self._names, keep=keep)
        return self._open[keep]


class _Resolver(AbstractResolver):
    def __init__(self, names: Names) -> None:
        self._names = names

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address.host,
                port=address.port,
                family=socket.AF_INET6 if ":" in address.host else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in await self._names.look_up(host, port)
        ]

    async def close(self) -> None:
        """Nothing is held open."""
