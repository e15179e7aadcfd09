"""The admin interface: the same few resources on a local socket and on the admin address.

The socket is guarded by file permissions (its folder is its user's alone); the address by a
bearer token that has no default.
"""

import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from strangler_proxy.config import ConfigError
from strangler_proxy.config.address import parse_address

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Proxy(Protocol):
    """What can be asked of a running proxy."""

    async def status(self) -> dict[str, Any]:
        """Who serves what."""

    async def counts(self) -> dict[str, Any]:
        """Requests, failures and latencies by route and upstream."""

    async def reload(self) -> int:
        """Serve by the file as it is now; ConfigError when it is refused."""


class AdminSite:
    """The servers of the admin interface."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._runners: list[web.AppRunner] = []

    async def on_socket(self, path: Path) -> None:
        """Answer this user's own commands on a Unix socket."""
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - once, at the start
        await web.UnixSite(await self._runner([]), str(path)).start()
        path.chmod(0o600)  # noqa: ASYNC240

    async def on_address(self, address: str, token: str) -> None:
        """Answer whoever has the token."""
        host, port = parse_address(address)
        await web.TCPSite(await self._runner([_requires(token)]), host, port).start()

    async def _runner(self, middlewares: list[Any]) -> web.AppRunner:
        app = web.Application(middlewares=[_errors_as_json, *middlewares])
        app.router.add_get("/status", self._status)
        app.router.add_get("/counts", self._counts)
        app.router.add_post("/reload", self._reload)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
        await runner.setup()
        self._runners.append(runner)
        return runner

    async def close(self) -> None:
        """Answer no more."""
        for runner in self._runners:
            await runner.cleanup()

    async def _status(self, request: web.Request) -> web.Response:
        return web.json_response(await self._proxy.status())

    async def _counts(self, request: web.Request) -> web.Response:
        return web.json_response(await self._proxy.counts())

    async def _reload(self, request: web.Request) -> web.Response:
        try:
            return web.json_response({"generation": await self._proxy.reload()})
        except ConfigError as refused:
            problems = [
                {"file": p.file, "line": p.line, "where": p.where, "message": p.message}
                for p in refused.problems
            ]
            return web.json_response({"problems": problems}, status=422)


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        body = {"title": error.reason, "status": error.status}
        return web.json_response(body, status=error.status, headers=_kept(error))


def _kept(error: web.HTTPException) -> dict[str, str]:
    kept = ("WWW-Authenticate", "Allow")
    return {name: error.headers[name] for name in kept if name in error.headers}


def _requires(token: str) -> Any:
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, expected):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    return check
