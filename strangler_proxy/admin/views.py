"""What there is to see: every resource that is only read."""

import asyncio

from aiohttp import web

from strangler_proxy.admin.guard import HEALTH
from strangler_proxy.admin.metrics import exposition
from strangler_proxy.admin.proxy import Proxy
from strangler_proxy.admin.rows import breaker_rows, route_row


class Views:
    """The read resources of one proxy."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add every resource."""
        router.add_get(HEALTH, self._health)
        router.add_get("/status", self._status)
        router.add_get("/counts", self._counts)
        router.add_get("/figures", self._figures)
        router.add_get("/metrics", self._metrics)
        router.add_get("/routes", self._routes)
        router.add_get("/upstreams", self._upstreams)
        router.add_get("/breakers", self._breakers)
        router.add_get("/keys", self._keys)

    async def _health(self, request: web.Request) -> web.Response:
        """For load balancers: 503 as soon as the proxy takes nothing new."""
        if self._proxy.stopping:
            return web.json_response({"status": "draining"}, status=503)
        return web.json_response({"status": "serving"})

    async def _status(self, request: web.Request) -> web.Response:
        return web.json_response(await self._proxy.status())

    async def _counts(self, request: web.Request) -> web.Response:
        return web.json_response(await self._proxy.counts())

    async def _figures(self, request: web.Request) -> web.Response:
        return web.json_response(await self._proxy.figures())

    async def _metrics(self, request: web.Request) -> web.Response:
        figures = await self._proxy.figures()
        accept = request.headers.get("Accept", "")
        text, content_type = await asyncio.to_thread(exposition, figures, accept)
        return web.Response(body=text, headers={"Content-Type": content_type})

    async def _routes(self, request: web.Request) -> web.Response:
        config = self._proxy.config
        return web.json_response([route_row(config, route) for route in config.routes])

    async def _upstreams(self, request: web.Request) -> web.Response:
        return web.json_response(await self._proxy.upstreams())

    async def _breakers(self, request: web.Request) -> web.Response:
        return web.json_response(breaker_rows(await self._proxy.upstreams()))

    async def _keys(self, request: web.Request) -> web.Response:
        return web.json_response(await self._proxy.keys())
