"""The issuers' keys, from a real HTTP server that rotates, fails and lies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import jwt
import pytest
import uvloop
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ed25519

from strangler_proxy.config import TokenCheck
from strangler_proxy.gateway.keys import KeyStore, Pace, pause_s
from strangler_proxy.policies.tokens import UnknownKey, Verified, Verifier
from tests.wire_tools.certificates import Authority

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


def test_keys_are_fetched_at_once_and_told() -> None:
    async def test() -> None:
        async with started() as (issuer, store):
            assert store.told == [(issuer.url, keys("old"))]
            assert store.keys.current() == {issuer.url: keys("old")}
            store.lead_s = 7
            [row] = store.keys.status()
            assert row.pop("age_s") == pytest.approx(7, abs=2)
            assert row == {"name": "staff", "url": issuer.url, "keys": 1, "failing": None}

    run(test())


def test_a_set_that_is_the_same_is_not_told_again() -> None:
    async def test() -> None:
        async with started(OFTEN) as (issuer, store):
            await until(lambda: len(issuer.asked) > 4, "more fetches")
            assert len(store.told) == 1
            issuer.publish(keys("old", "new"))
            await until(lambda: len(store.told) > 1, "the changed keys")
            assert store.told[1:] == [(issuer.url, keys("old", "new"))]

    run(test())


def test_nothing_is_told_of_a_key_but_what_verifying_takes() -> None:
    async def test() -> None:
        async with started(OFTEN) as (issuer, store):
            secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "s"}
            leaked = {**_EDDSA.to_jwk(PRIVATE["newest"], as_dict=True), "kid": "leaked"}
            wordy = {**jwk("new"), "use": "sig", "x5c": ["MIIB"], "issued": {"by": [1]}}
            issuer.publish({"keys": [secret, leaked, wordy, "junk"], "more": 1})
            await until(lambda: len(store.told) > 1, "the changed keys")
            assert store.told[1] == (issuer.url, keys("new"))

    run(test())


def test_keys_rotate_without_refusing_a_good_token() -> None:
    async def test() -> None:
        async with started() as (issuer, store):
            verifier = Verifier(check(issuer.url), None)
            verifier.set_keys(store.keys.current()[issuer.url])
            assert isinstance(verifier.verify(token("old"), 1e9), Verified)

            issuer.publish(keys("old", "new"))
            assert verifier.verify(token("new"), 1e9) == UnknownKey("new")
            verifier.set_keys(await store.keys.refresh(issuer.url))
            for kid in ("old", "new"):
                assert isinstance(verifier.verify(token(kid), 1e9), Verified)

            issuer.publish(keys("new"))
            store.lead_s += 6
            verifier.set_keys(await store.keys.refresh(issuer.url))
            assert isinstance(verifier.verify(token("new"), 1e9), Verified)
            assert verifier.verify(token("old"), 1e9) == UnknownKey("old")

    run(test())


async def _cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"keys": [')
    assert request.transport is not None
    request.transport.close()
    return response


async def _slow(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        for _ in range(200):
            await response.write(b" ")
            await asyncio.sleep(0.02)
    return response


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        for _ in range(10_000):
            await response.write(b" " * 65536)
    return response


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda issuer: issuer.publish(keys("new"), 500), "500"),
        (lambda issuer: issuer.publish(keys("new"), 404), "404"),
        (lambda issuer: issuer.publish(keys("new"), 302, Location="/others"), "302"),
        (lambda issuer: issuer.publish(keys("new"), Content_Encoding="gzip"), "compressed"),
        (lambda issuer: issuer.say("<html>"), "not JSON"),
        (lambda issuer: issuer.say(""), "not JSON"),
        (lambda issuer: issuer.say("[" * 100_000), "not JSON"),
        (lambda issuer: issuer.say(json.dumps(keys("new")) + " " * 2**18), "longer than 262144"),
        (lambda issuer: issuer.publish([keys("new")]), "no key"),
        (lambda issuer: issuer.publish({}), "no key"),
        (lambda issuer: issuer.publish({"keys": []}), "no key"),
        (lambda issuer: issuer.publish({"keys": {"new": jwk("new")}}), "no key"),
        (lambda issuer: issuer.publish({"keys": [{"kty": "oct", "k": "czNjcmV0"}]}), "no key"),
        (lambda issuer: setattr(issuer, "answer", _cut), "payload is not completed"),
        (lambda issuer: setattr(issuer, "answer", _slow), "no whole answer within 1 s"),
        (lambda issuer: setattr(issuer, "answer", _endless), "longer than 262144"),
        (lambda issuer: issuer.open.clear(), "no whole answer within 1 s"),
    ],
)
def test_the_last_good_keys_outlast_every_bad_answer(
    spoil: Callable[[Issuer], None], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "strangler_proxy.gateway.keys")

    async def test() -> None:
        async with started() as (issuer, store):
            spoil(issuer)
            assert await store.keys.refresh(issuer.url) == keys("old")
            assert reason in store.keys.status()[0]["failing"]
            assert issuer.asked == ["/keys", "/keys"]
            assert store.keys.current() == {issuer.url: keys("old")}

            issuer.open.set()
            issuer.publish(keys("new"))
            store.lead_s += 6
            assert await store.keys.refresh(issuer.url) == keys("new")
            assert store.keys.status()[0]["failing"] is None
            assert [jwks for _, jwks in store.told] == [keys("old"), keys("new")]

    run(test())
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert reason in messages[0]
    assert "stay in use" in messages[0]
    assert "again" in messages[1]


def test_an_issuer_that_is_down_at_the_start_is_found_when_it_comes_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "strangler_proxy.gateway.keys")

    async def test() -> None:
        async with started(up=False) as (issuer, store):
            assert await store.keys.refresh(issuer.url) is None
            assert store.keys.current() == {}
            [row] = store.keys.status()
            assert (row["keys"], row["age_s"]) == (0, None)
            assert "refuse" in row["failing"] or "connect" in row["failing"]
            await issuer.up()
            await until(lambda: store.told, "the keys of the issuer that came up")

    run(test())
    assert len(caplog.records) == 2
    assert "there are none yet" in caplog.records[0].getMessage()


def test_an_outage_is_told_once_however_often_it_is_tried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test() -> None:
        async with started(OFTEN) as (issuer, _):
            issuer.publish({}, 503)
            before = len(issuer.asked)
            await until(lambda: len(issuer.asked) > before + 4, "more fetches")

    run(test())
    assert len(caplog.records) == 1


def test_failures_are_repeated_ever_more_slowly() -> None:
    pauses = [pause_s(300, failures, Pace()) for failures in range(8)]
    assert pauses == [300, 1, 2, 4, 8, 16, 30, 30]
    assert pause_s(300, 10**6, Pace()) == 30


def test_all_who_ask_at_the_same_time_share_one_fetch() -> None:
    async def test() -> None:
        async with started() as (issuer, store):
            issuer.publish(keys("new"))
            issuer.open.clear()
            asks = [asyncio.create_task(store.keys.refresh(issuer.url)) for _ in range(50)]
            await until(lambda: len(issuer.asked) == 2, "the fetch")
            asks[0].cancel()  # a worker that is killed takes the fetch from nobody
            await asyncio.wait({asks[0]})
            issuer.open.set()
            assert await asyncio.gather(*asks[1:]) == [keys("new")] * 49
            assert len(issuer.asked) == 2

    run(test())


def test_made_up_key_ids_do_not_hammer_the_issuer() -> None:
    async def test() -> None:
        async with started() as (issuer, store):
            for _ in range(100):
                await store.keys.refresh(issuer.url)
            assert len(issuer.asked) == 2
            store.lead_s += 4.5
            await store.keys.refresh(issuer.url)
            assert len(issuer.asked) == 2
            store.lead_s += 0.6
            await store.keys.refresh(issuer.url)
            assert len(issuer.asked) == 3

    run(test())


def test_an_issuer_that_is_named_no_more_is_forgotten_and_left_alone() -> None:
    async def test() -> None:
        async with started(OFTEN) as (issuer, store):
            issuer.open.clear()
            before = len(issuer.asked)
            await until(lambda: len(issuer.asked) > before, "a fetch under way")
            waiting = asyncio.create_task(store.keys.refresh(issuer.url))
            await asyncio.sleep(0)
            store.keys.configure({"machines": TokenCheck(secret_env="SECRET")})
            assert store.keys.current() == {}
            assert store.keys.status() == []
            assert await waiting == keys("old")
            assert await store.keys.refresh(issuer.url) is None
            asked, told = len(issuer.asked), len(store.told)
            issuer.publish(keys("new"))
            issuer.open.set()
            other = Issuer()
            await other.up()
            store.keys.configure({"staff": check(other.url, OFTEN)})
            await until(lambda: len(other.asked) > 4, "fetches from the other issuer")
            assert len(issuer.asked) == asked
            assert [url for url, _ in store.told[told:]] == [other.url]
            await other.down()

    run(test())


def test_while_a_file_is_taken_up_the_keys_of_both_are_there() -> None:
    async def test() -> None:
        async with started() as (issuer, store):
            other = Issuer()
            await other.up()
            other.publish(keys("new"))
            before, after = {"staff": check(issuer.url)}, {"staff": check(other.url)}
            store.keys.configure(before, after)
            await until(lambda: len(store.told) == 2, "the keys of the other")
            assert store.keys.current() == {issuer.url: keys("old"), other.url: keys("new")}
            store.keys.configure(before)
            assert store.keys.current() == {issuer.url: keys("old")}
            assert len(issuer.asked) == 1
            await other.down()

    run(test())


def test_checks_with_one_issuer_share_its_keys_at_the_pace_of_the_most_eager() -> None:
    async def test() -> None:
        async with started() as (issuer, store):
            checks = {"staff": check(issuer.url), "customers": check(issuer.url, OFTEN)}
            store.keys.configure(checks)
            await until(lambda: len(issuer.asked) > 4, "fetches at the new pace")
            assert [row["name"] for row in store.keys.status()] == ["customers, staff"]
            assert len(store.told) == 1

    run(test())


def test_a_listener_that_fails_does_not_stop_the_fetches(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test() -> None:
        async with started(OFTEN) as (issuer, store):
            store.told = None  # type: ignore[assignment]
            issuer.publish(keys("new"))
            await until(lambda: store.keys.current() == {issuer.url: keys("new")}, "new keys")
            asked = len(issuer.asked)
            await until(lambda: len(issuer.asked) > asked + 2, "more fetches")

    run(test())
    assert "could not be told" in caplog.text


def test_closing_does_not_wait_for_an_issuer_that_hangs() -> None:
    async def test() -> None:
        async with started(pace=Pace(timeout_s=30)) as (issuer, store):
            issuer.open.clear()
            waiting = asyncio.create_task(store.keys.refresh(issuer.url))
            await until(lambda: len(issuer.asked) == 2, "the fetch under way")
            async with asyncio.timeout(2):
                await store.keys.close()
            assert await waiting == keys("old")
            assert await store.keys.refresh(issuer.url) is None
            issuer.open.set()

    run(test())


def test_an_issuer_whose_certificate_nobody_vouches_for_is_not_believed(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path).certificate("localhost")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)

    async def test() -> None:
        issuer, store = Issuer(tls), Store()
        await issuer.up()
        store.keys.configure({"staff": check(issuer.url)})
        await until(lambda: store.keys.status()[0]["failing"], "the refusal")
        assert "certificate" in store.keys.status()[0]["failing"].lower()
        assert (store.told, issuer.asked) == ([], [])
        await store.keys.close()
        await issuer.down()

    run(test())
