"""What can be changed in a running proxy: holds, breakers, addresses, reloads and the end.

Who serves what stands in the file, and is changed there: flips.py.
"""

from aiohttp import web

from strangler_proxy.admin.guard import Refusal, unknown
from strangler_proxy.admin.held import FlippableHolds
from strangler_proxy.admin.orders import (
    AddressOrder,
    BreakerOrder,
    HoldOrder,
    ReloadOrder,
    read,
)
from strangler_proxy.admin.outcome import done, is_waited_for
from strangler_proxy.admin.proxy import HoldRefused, Proxy
from strangler_proxy.admin.who import who


class Steering:
    """The resources of one proxy that change something and leave its file alone."""

    def __init__(self, proxy: Proxy, holds: FlippableHolds) -> None:
        self._proxy, self._holds = proxy, holds

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add every resource."""
        router.add_post("/reload", self._reload)
        router.add_post("/drain", self._drain)
        router.add_post("/holds", self._hold)
        router.add_post("/holds/{name}/release", self._release)
        router.add_post("/upstreams/{name}/addresses/{address}", self._address)
        router.add_post("/breakers/{name}", self._breaker)

    async def _reload(self, request: web.Request) -> web.Response:
        order = await read(request, ReloadOrder) if request.can_read_body else ReloadOrder()
        generation = await done(self._proxy, self._proxy.reload(who(request), order.hold))
        return web.json_response({"generation": generation})

    async def _hold(self, request: web.Request) -> web.Response:
        order = await read(request, HoldOrder)
        asker = who(request)
        try:
            name = await done(
                self._proxy, self._proxy.hold(order, asker, lambda: is_waited_for(request))
            )
        except HoldRefused as refused:
            raise Refusal(409, f"nothing is held: {refused}") from refused
        self._holds.begun(name, order.routes)
        return web.json_response({"hold": name})

    async def _release(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        told = await done(self._proxy, self._proxy.release(name, who(request)))
        self._holds.over(name)
        return web.json_response(told)

    async def _drain(self, request: web.Request) -> web.Response:
        await done(self._proxy, self._proxy.stop_by(who(request)))
        return web.json_response({"status": "draining"})

    async def _address(self, request: web.Request) -> web.Response:
        name, address = self._upstream(request), request.match_info["address"]
        order = await read(request, AddressOrder)
        asker = who(request)
        await done(self._proxy, self._proxy.drain_address(name, address, order.draining, asker))
        return web.json_response({"upstream": name, "address": address, "draining": order.draining})

    async def _breaker(self, request: web.Request) -> web.Response:
        name = self._upstream(request)
        order = await read(request, BreakerOrder)
        await done(self._proxy, self._proxy.set_breaker(name, order.state, who(request)))
        return web.json_response({"upstream": name, "state": order.state})

    def _upstream(self, request: web.Request) -> str:
        name = request.match_info["name"]
        if name not in self._proxy.config.upstreams:
            raise unknown("upstream", name, self._proxy.config.upstreams)
        return name
