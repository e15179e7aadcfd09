"""The HTTP clients of the supervisor: no cookies, no proxy of the environment, own name lookup."""

import os
import socket

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
    if isinstance(fault, aiohttp.ClientConnectorError) and not isinstance(
        fault, aiohttp.ClientSSLError
    ):
        cause = fault.os_error
        known = cause.errno is not None and cause.errno > 0  # a resolver's are negative
        why = os.strerror(cause.errno) if known and cause.errno else cause.strerror or str(cause)
        return f"{fault.host}:{fault.port} cannot be reached: {why}"
    return str(fault) or type(fault).__name__


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
