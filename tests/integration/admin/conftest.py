"""The admin interface on real sockets, in front of a proxy that is not one."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from strangler_proxy.admin.orders import HoldOrder
from strangler_proxy.admin.proxy import HoldRefused
from strangler_proxy.admin.site import AdminSite
from strangler_proxy.config import load

TOKEN = "a token of some length"
TEXT = """\
upstreams:
  old: {url: http://127.0.0.1:1}
  new: {url: http://127.0.0.1:2, breaker: {}}
default: old
routes:
  - name: moving
    match: POST /moving
    control: old
    candidate: new
    serve: control   # who answers
  - name: page
    match: GET /page
    compose: {parts: {author: {get: /users/1, fallback: Unknown}}}
"""


class FakeProxy:
    """Serves whatever the file says, and remembers what it was told."""

    def __init__(self, path: Path) -> None:
        self.config_path = path
        self.config = load(path)
        self.stopping = False
        self.generation = 1
        self.told: list[tuple[Any, ...]] = []
        self.fault: Exception | None = None

    def _take(self, *order: Any) -> None:
        if self.fault is not None:
            raise self.fault
        self.told.append(order)

    async def status(self) -> dict[str, Any]:
        return {"generation": self.generation}

    async def counts(self) -> dict[str, Any]:
        if self.fault is not None:
            raise self.fault
        return {"moving": {}}

    async def figures(self) -> dict[str, Any]:
        return {
            "generation": self.generation,
            "reloads": {"served": 0, "refused": 0, "last_unix_s": None},
            "workers": [],
            "sides": [],
            "upstreams": await self.upstreams(),
            "events": [],
        }

    async def upstreams(self) -> list[dict[str, Any]]:
        load = {"in_flight": 0, "idle": 0, "waiting": 0, "addresses": []}
        return [
            {"name": "old", "breaker": None, **load},
            {"name": "new", "breaker": "open", **load},
        ]

    async def keys(self) -> list[dict[str, Any]]:
        return []

    async def reload(self, who: str, hold: str | None = None) -> int:
        self._take("reload", who, *([hold] if hold else []))
        self.config = load(self.config_path)
        self.generation += 1
        return self.generation

    async def hold(self, order: HoldOrder, who: str, waited_for: Callable[[], bool]) -> str:
        self._take("hold", order.routes, who)
        if not waited_for():
            raise HoldRefused("nobody waits for it any more")
        return f"hold-{len(self.told)}"

    async def release(self, name: str, who: str) -> dict[str, Any]:
        self._take("release", name, who)
        return {"held": 0, "lasted_s": 0.1, "broken": None}

    async def set_breaker(self, upstream: str, state: str, who: str) -> None:
        self._take("breaker", upstream, state, who)

    async def drain_address(self, upstream: str, address: str, draining: bool, who: str) -> None:
        self._take("drain", upstream, address, draining, who)

    async def stop_by(self, who: str) -> None:
        self._take("stop", who)
        self.stopping = True


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Admin:
    """The site on a loop in a thread, on both of its addresses."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "strangler.yaml"
        self.path.write_text(TEXT)
        self.proxy = FakeProxy(self.path)
        self.socket = folder / "admin.sock"
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(10)

    async def _serve(self) -> None:
        site = AdminSite(self.proxy)
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        await site.on_socket(self.socket)
        self.port = await site.on_address("127.0.0.1:0", TOKEN)
        self._ready.set()
        await self._stop.wait()
        await site.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def local(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Ask over the socket of the file's owner."""
        connection = http.client.HTTPConnection("localhost", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(10)
        connection.sock.connect(str(self.socket))
        return _ask(connection, method, path, body, headers)

    def remote(
        self, method: str, path: str, body: Any = None, token: str | None = TOKEN, **headers: str
    ) -> Answer:
        """Ask over the admin address."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return _ask(connection, method, path, body, headers)


def _ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Any,
    headers: dict[str, str],
) -> Answer:
    sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    if sent is not None:
        headers = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
    try:
        connection.request(method, path, sent, headers)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Admin]:
    admin = Admin(tmp_path)
    yield admin
    admin.close()
