"""What can be changed: flips, canaries, breakers, addresses, reloads and the end.

A flip edits the file, as `strangler flip` does, and puts it back when the proxy refuses it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiohttp import web

from strangler_proxy.admin.audit import AuditFailed
from strangler_proxy.admin.guard import Refusal, unknown
from strangler_proxy.admin.orders import (
    AddressOrder,
    BreakerOrder,
    CanaryOrder,
    HoldOrder,
    ReloadOrder,
    ServeOrder,
    read,
)
from strangler_proxy.admin.proxy import HoldRefused, Proxy
from strangler_proxy.admin.who import who
from strangler_proxy.config import ConfigError, Problem
from strangler_proxy.running.flip import Flipped, Reload, change_routes, change_upstreams

T = TypeVar("T")
_RELOAD_S = 60.0


class Steering:
    """The resources of one proxy that change something."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        # An edit waits in a thread for the reload, which needs a thread itself: one at a time.
        self._editing = asyncio.Lock()

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add every resource."""
        router.add_post("/reload", self._reload)
        router.add_post("/drain", self._drain)
        router.add_post("/holds", self._hold)
        router.add_post("/holds/{name}/release", self._release)
        router.add_post("/routes/{name}/serve", self._serve)
        router.add_post("/upstreams/{name}/canary", self._canary)
        router.add_post("/upstreams/{name}/addresses/{address}", self._address)
        router.add_post("/breakers/{name}", self._breaker)

    async def _reload(self, request: web.Request) -> web.Response:
        order = await read(request, ReloadOrder) if request.can_read_body else ReloadOrder()
        generation = await self._done(self._proxy.reload(who(request), order.hold))
        return web.json_response({"generation": generation})

    async def _hold(self, request: web.Request) -> web.Response:
        order = await read(request, HoldOrder)
        try:
            name = await self._done(self._proxy.hold(order, who(request)))
        except HoldRefused as refused:
            raise Refusal(409, f"nothing is held: {refused}") from refused
        return web.json_response({"hold": name})

    async def _release(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return web.json_response(await self._done(self._proxy.release(name, who(request))))

    async def _drain(self, request: web.Request) -> web.Response:
        await self._done(self._proxy.stop_by(who(request)))
        return web.json_response({"status": "draining"})

    async def _serve(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        order = await read(request, ServeOrder)
        config, path = self._proxy.config, self._proxy.config_path
        if config.route(name) is None:
            raise unknown("route", name, (route.name for route in config.routes))

        def change(reload: Reload) -> Flipped[Any]:
            return change_routes(path, [name], order.to, order.sticky, reload)

        return await self._flip(request, name, change)

    async def _canary(self, request: web.Request) -> web.Response:
        name = self._upstream(request)
        order = await read(request, CanaryOrder)
        path = self._proxy.config_path

        def change(reload: Reload) -> Flipped[Any]:
            return change_upstreams(path, [name], order.percent, order.sticky, reload)

        return await self._flip(request, name, change)

    async def _flip(
        self, request: web.Request, name: str, change: Callable[[Reload], Flipped[Any]]
    ) -> web.Response:
        asker, loop = who(request), asyncio.get_running_loop()

        def reload() -> int:
            served = asyncio.run_coroutine_threadsafe(self._proxy.reload(asker), loop)
            return served.result(_RELOAD_S)

        async with self._editing:
            flipped = await self._done(asyncio.to_thread(change, reload))
        return web.json_response(
            {
                "name": name,
                "generation": flipped.generation,
                "before": flipped.before[name].model_dump(),
                "after": flipped.after[name].model_dump(),
            }
        )

    async def _address(self, request: web.Request) -> web.Response:
        name, address = self._upstream(request), request.match_info["address"]
        order = await read(request, AddressOrder)
        asker = who(request)
        await self._done(self._proxy.drain_address(name, address, order.draining, asker))
        return web.json_response({"upstream": name, "address": address, "draining": order.draining})

    async def _breaker(self, request: web.Request) -> web.Response:
        name = self._upstream(request)
        order = await read(request, BreakerOrder)
        await self._done(self._proxy.set_breaker(name, order.state, who(request)))
        return web.json_response({"upstream": name, "state": order.state})

    def _upstream(self, request: web.Request) -> str:
        name = request.match_info["name"]
        if name not in self._proxy.config.upstreams:
            raise unknown("upstream", name, self._proxy.config.upstreams)
        return name

    async def _done(self, doing: Awaitable[T]) -> T:
        """Wait for the proxy; what it will not do is told as what the client did wrong."""
        try:
            return await doing
        except AuditFailed as fault:
            # As the refusal of a file, so that whoever has edited it puts it back.
            path = str(self._proxy.config_path)
            raise ConfigError([Problem(path, None, "audit", str(fault))]) from fault
        except LookupError as fault:
            raise Refusal(404, str(fault.args[0] if fault.args else fault)) from fault
        except ValueError as fault:
            raise Refusal(422, str(fault)) from fault
        except TimeoutError as fault:
            message = "not every worker has confirmed in time; ask for the status"
            raise Refusal(504, message) from fault
        except OSError as fault:
            raise Refusal(500, f"the file could not be changed: {fault}") from fault
