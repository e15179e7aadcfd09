"""Places that discovery and health checks ask, in the test's own event loop, and waiting."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from aiohttp import web

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end; an error that only the event loop has seen is raised too."""
    crashes: list[str] = []

    async def watched() -> T:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(
            lambda _, context: crashes.append(f"{context['message']}: {context.get('exception')!r}")
        )
        result = await main
        left = [task for task in asyncio.all_tasks() if "strangler_proxy/" in repr(task)]
        assert not left, f"tasks were left running: {left}"
        return result

    result = asyncio.run(watched())
    assert not crashes, "\n".join(crashes)
    return result


async def until(condition: Callable[[], object], what: str, timeout_s: float = 10.0) -> float:
    """Poll until something holds, or fail; the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + timeout_s, f"not in {timeout_s:g} s: {what}"
        await asyncio.sleep(0.005)
    return time.monotonic() - began


def instance(port: object, host: object = "127.0.0.1", node: object = "10.9.9.9") -> dict[str, Any]:
    """One healthy instance as Consul tells it, with more around it than is read."""
    return {
        "Node": {"ID": "n", "Node": "test", "Address": node, "Meta": None},
        "Service": {"ID": "s", "Service": "image", "Address": host, "Port": port, "Tags": []},
        "Checks": [{"Status": "passing"}],
    }


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Site:
    """An HTTP server on a free port whose answers are a function."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[web.Request] = []
        self.port = 0
        self._runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        """Where it is found."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        assert self._runner.addresses
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close every connection and refuse new ones."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, web.BaseRequest)
        self.requests.append(request)  # type: ignore[arg-type]
        return await self.handler(request)  # type: ignore[arg-type]

    async def __aenter__(self) -> Site:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


class Registry(Site):
    """Speaks blocking queries as Consul does; `tell` changes what it says."""

    def __init__(self, *ports: int) -> None:
        super().__init__(self._answer)
        self.index = 7
        self.body = json.dumps([instance(port) for port in ports])
        self.headers: dict[str, str] = {}
        self.status = 200
        self.asked: list[int] = []
        self._news = asyncio.Event()

    def tell(self, *ports: int, index: int | None = None, body: str | None = None) -> None:
        """Say from now on that these are healthy; whoever waits is told."""
        self.index = self.index + 1 if index is None else index
        self.body = json.dumps([instance(port) for port in ports]) if body is None else body
        self._news.set()
        self._news = asyncio.Event()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = int(request.query["index"])
        self.asked.append(asked)
        if asked >= self.index:
            wait_s = float(request.query["wait"].removesuffix("ms")) / 1000
            try:
                async with asyncio.timeout(wait_s):
                    await self._news.wait()
            except TimeoutError:
                pass
        return web.Response(
            body=self.body.encode(),
            status=self.status,
            headers={"X-Consul-Index": str(self.index), **self.headers},
        )
