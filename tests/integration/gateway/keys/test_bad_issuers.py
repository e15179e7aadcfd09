"""The last good keys outlast an issuer that is down, fails or lies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from strangler_proxy.gateway.keys import Pace, pause_s
from tests.integration.gateway.keys.issuer import (
    OFTEN,
    Issuer,
    Store,
    check,
    jwk,
    keys,
    run,
    started,
    until,
)
from tests.wire_tools.certificates import Authority


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
