"""The admin interface: the same resources on a local socket and on the admin address.

The socket is guarded by file permissions (its folder is its user's alone); the address by a
bearer token that has no default.
"""

import asyncio
from collections.abc import Container
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from strangler_proxy.admin.flips import Flips
from strangler_proxy.admin.guard import (
    Attempts,
    json_only,
    no_browsers,
    noted_in,
    requires_token,
    told_as_json,
)
from strangler_proxy.admin.held import FlippableHolds
from strangler_proxy.admin.orders import MOST_BYTES
from strangler_proxy.admin.proxy import Proxy
from strangler_proxy.admin.steering import Steering
from strangler_proxy.admin.views import Views
from strangler_proxy.config.address import parse_address

# Strangers may open connections and say nothing: the supervisor must keep files for its workers,
# and room for those who do ask. Of those that come at one moment, up to the backlog may be more.
MOST_CONNECTIONS = 128
BACKLOG = 16
_KEEP_S = 15


class AdminSite:
    """The servers of the admin interface."""

    def __init__(self, proxy: Proxy) -> None:
        holds = FlippableHolds()
        self._resources = (Views(proxy), Steering(proxy, holds), Flips(proxy, holds))
        self._runners: list[web.AppRunner] = []
        self._servers: list[asyncio.Server] = []

    async def on_socket(self, path: Path) -> None:
        """Answer this user's own commands on a Unix socket."""
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - once, at the start
        await web.UnixSite(await self._runner(), str(path)).start()
        path.chmod(0o600)  # noqa: ASYNC240

    async def on_address(self, address: str, token: str) -> int:
        """Answer whoever has the token; returns the port. OSError when it is taken."""
        host, port = parse_address(address)
        asking: set[object] = set()
        guards = (noted_in(asking), no_browsers, requires_token(token, Attempts()))
        runner = await self._runner(*guards)
        server = await asyncio.get_running_loop().create_server(
            _Bounded(runner, asking), host, port, backlog=BACKLOG
        )
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _runner(self, *guards: Middleware) -> web.AppRunner:
        app = web.Application(
            middlewares=[told_as_json, *guards, json_only], client_max_size=MOST_BYTES
        )
        for resources in self._resources:
            resources.add_to(app.router)
        runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=_KEEP_S,
            shutdown_timeout=1,
        )
        await runner.setup()
        self._runners.append(runner)
        return runner

    async def close(self) -> None:
        """Answer no more."""
        for server in self._servers:
            server.close()
        for runner in self._runners:
            await runner.cleanup()


class _Bounded:
    """Makes the protocols of connections, `asking` those with a request that is being answered.

    Beyond the most, the oldest that asks for nothing makes room; if all ask, the new one is closed.
    """

    def __init__(self, runner: web.AppRunner, asking: Container[object]) -> None:
        self._runner = runner
        self._asking = asking

    def __call__(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        if server is None:
            return _Closed()
        open_ones = [one for one in server.connections if one.transport is not None]
        if len(open_ones) >= MOST_CONNECTIONS:
            idle = next((one for one in open_ones if one not in self._asking), None)
            if idle is None:
                return _Closed()
            idle.force_close()
        return server()


class _Closed(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
