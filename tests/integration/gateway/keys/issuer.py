"""A real HTTP server that publishes keys, and a store that fetches them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import jwt
import uvloop
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ed25519

from strangler_proxy.config import TokenCheck
from strangler_proxy.gateway.keys import KeyStore, Pace

QUICK = Pace(timeout_s=1, retry_s=0.02, longest_retry_s=0.05, asked_s=5)
SELDOM = 3600.0
OFTEN = 0.02
PRIVATE = {kid: ed25519.Ed25519PrivateKey.generate() for kid in ("old", "new", "newest")}
_EDDSA = jwt.get_algorithm_by_name("EdDSA")


def jwk(kid: str) -> dict[str, Any]:
    """A key as it is published."""
    return {"kid": kid, **_EDDSA.to_jwk(PRIVATE[kid].public_key(), as_dict=True)}


def keys(*kids: str) -> dict[str, Any]:
    """A set of keys as it is published."""
    return {"keys": [jwk(kid) for kid in kids]}


def token(kid: str) -> bytes:
    """An Authorization value, signed with the key of this name."""
    claims = {"sub": "42", "exp": 2_000_000_000}
    return b"Bearer " + jwt.encode(claims, PRIVATE[kid], "EdDSA", headers={"kid": kid}).encode()


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test on the supervisor's kind of loop, for 20 s at most."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(test, 20))


async def until(condition: Callable[[], object], what: str) -> None:
    """Poll until something holds, or fail."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, f"not in 10 s: {what}"
        await asyncio.sleep(0.002)


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Issuer:
    """An HTTP server on a loopback port that answers as it is told, and can be down."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self._tls = tls
        self._runner: web.AppRunner | None = None
        self.publish(keys("old"))

    @property
    def url(self) -> str:
        """Where its keys are."""
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}/keys"

    def publish(self, content: object, status: int = 200, **headers: str) -> None:
        """Answer with this JSON."""
        self.say(json.dumps(content), status, **headers)

    def say(self, text: str, status: int = 200, **headers: str) -> None:
        """Answer with this text."""

        async def answer(request: web.Request) -> web.StreamResponse:
            lines = {name.replace("_", "-"): value for name, value in headers.items()}
            return web.Response(text=text, status=status, headers=lines)

        self.answer: Answer = answer

    async def up(self) -> None:
        """Listen, on the same port as before."""
        application = web.Application()
        application.router.add_get("/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "localhost", self.port, ssl_context=self._tls)
        await site.start()
        self.port = self.port or self._runner.addresses[0][1]

    async def down(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        await self.open.wait()
        return await self.answer(request)


class Store:
    """A KeyStore, what it told, and a clock with a lead."""

    def __init__(self, pace: Pace = QUICK) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.lead_s = 0.0
        self.keys = KeyStore(self.tell, lambda: time.monotonic() + self.lead_s, pace)

    def tell(self, url: str, jwks: dict[str, Any]) -> None:
        """Note what workers would be told."""
        self.told.append((url, jwks))


@contextlib.asynccontextmanager
async def started(
    refresh_s: float = SELDOM, pace: Pace = QUICK, *, up: bool = True
) -> AsyncIterator[tuple[Issuer, Store]]:
    """An issuer with the old key, and a store that has fetched it unless the issuer is down."""
    issuer, store = Issuer(), Store(pace)
    await issuer.up()
    if not up:
        await issuer.down()
    try:
        store.keys.configure({"staff": check(issuer.url, refresh_s)})
        if up:
            await until(lambda: store.told, "the first keys")
        yield issuer, store
    finally:
        await store.keys.close()
        await issuer.down()


def check(url: str, refresh_s: float = SELDOM) -> TokenCheck:
    """A check of tokens by the keys of an issuer."""
    return TokenCheck(jwks=url, refresh_s=refresh_s)
