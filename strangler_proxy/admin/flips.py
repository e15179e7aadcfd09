"""Who serves, changed by editing the file as `strangler flip` does; put back when it is refused.

One edit at a time, in the order in which they came.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web

from strangler_proxy.admin.guard import Refusal, unknown
from strangler_proxy.admin.held import FlippableHolds
from strangler_proxy.admin.orders import CanaryOrder, FlipOrder, ServeOrder, read
from strangler_proxy.admin.outcome import done, is_waited_for
from strangler_proxy.admin.proxy import Proxy
from strangler_proxy.admin.who import who
from strangler_proxy.running.flip import (
    Flipped,
    Reload,
    Side,
    change_routes,
    change_upstreams,
    check_routes,
)

_RELOAD_S = 60.0


class Flips:
    """The resources of one proxy that edit its file."""

    def __init__(self, proxy: Proxy, holds: FlippableHolds) -> None:
        self._proxy, self._holds = proxy, holds
        # An edit waits in a thread for the reload, which needs a thread itself: one at a time.
        self._editing = asyncio.Lock()

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add every resource."""
        router.add_post("/flip", self._flip)
        router.add_post("/routes/{name}/serve", self._serve)
        router.add_post("/upstreams/{name}/canary", self._canary)

    async def _flip(self, request: web.Request) -> web.Response:
        order = await read(request, FlipOrder)
        self._known(order.routes)
        if order.check:
            path = self._proxy.config_path
            await done(self._proxy, asyncio.to_thread(check_routes, path, order.routes, order.to))
            return web.json_response({"routes": order.routes})
        flipped = await self._flip_routes(request, order.routes, order.to, None, order.hold)
        told = {name: _told(flipped, name) for name in order.routes}
        return web.json_response({"generation": flipped.generation, "routes": told})

    async def _serve(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        order = await read(request, ServeOrder)
        self._known([name])
        flipped = await self._flip_routes(request, [name], order.to, order.sticky, None)
        return _answer(name, flipped)

    async def _canary(self, request: web.Request) -> web.Response:
        name, known = request.match_info["name"], self._proxy.config.upstreams
        if name not in known:
            raise unknown("upstream", name, known)
        order = await read(request, CanaryOrder)
        path = self._proxy.config_path

        def change(reload: Reload) -> Flipped[Any]:
            return change_upstreams(path, [name], order.percent, order.sticky, reload)

        async with self._editing:
            return _answer(name, await self._edited(request, change, None))

    def _known(self, names: Iterable[str]) -> None:
        config = self._proxy.config
        for name in names:
            if config.route(name) is None:
                raise unknown("route", name, (route.name for route in config.routes))

    async def _flip_routes(
        self,
        request: web.Request,
        names: list[str],
        to: Side,
        sticky: str | None,
        hold: str | None,
    ) -> Flipped[Any]:
        path = self._proxy.config_path

        def change(reload: Reload) -> Flipped[Any]:
            return change_routes(path, names, to, sticky, reload)

        async with self._editing:
            if hold is None:
                self._holds.flipped_outside(names)
            elif (reason := self._holds.against(hold, names)) is not None:
                raise Refusal(409, reason)
            elif not is_waited_for(request):
                raise Refusal(409, "nobody waits for this any more")
            return await self._edited(request, change, hold)

    async def _edited(
        self, request: web.Request, change: Callable[[Reload], Flipped[Any]], hold: str | None
    ) -> Flipped[Any]:
        asker, loop = who(request), asyncio.get_running_loop()

        def reload() -> int:
            served = asyncio.run_coroutine_threadsafe(self._proxy.reload(asker, hold), loop)
            return served.result(_RELOAD_S)

        return await done(self._proxy, asyncio.to_thread(change, reload))


def _told(flipped: Flipped[Any], name: str) -> dict[str, Any]:
    return {
        "before": flipped.before[name].model_dump(),
        "after": flipped.after[name].model_dump(),
    }


def _answer(name: str, flipped: Flipped[Any]) -> web.Response:
    told = {"name": name, "generation": flipped.generation, **_told(flipped, name)}
    return web.json_response(told)
