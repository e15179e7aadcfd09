"""Tokens whose key has to be fetched wait for it, in their order, and nobody else does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from strangler_proxy.wire.outside import Outside
from tests.integration.wire.conftest import Bench
from tests.integration.wire.gate.kept_route import JWKS, JWKS_URL, before, got, issued
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Upstream


class Issuer:
    """Stands in for the supervisor: fetches keys when told to."""

    def __init__(self, bench: Bench, jwks: Any) -> None:
        self.bench = bench
        self.jwks = jwks
        self.asked: list[str] = []
        self.answer = threading.Event()

    async def refresh(self, url: str) -> None:
        self.asked.append(url)
        while not self.answer.is_set():  # noqa: ASYNC110 - it is set in another thread
            await asyncio.sleep(0.005)
        if self.jwks is not None:
            self.bench.proxy.plane.set_keys(url, self.jwks)


def with_issuer(bench: Bench, jwks: Any = JWKS, **more: Any) -> tuple[Issuer, Upstream]:
    issuer = Issuer(bench, jwks)
    outside = Outside(refresh_keys=issuer.refresh)
    return issuer, before(bench, outside=outside, check={"jwks": JWKS_URL}, **more)


def test_token_with_an_unknown_key_waits_until_the_keys_have_come(bench: Bench) -> None:
    issuer, upstream = with_issuer(bench)
    client = bench.client()
    client.get("/kept", issued())
    until(lambda: issuer.asked, "the keys are asked for")
    assert issuer.asked == [JWKS_URL]
    bench.proxy.pass_time(1000)
    assert not upstream.requests
    assert bench.client().ask("/open").status == 200  # nobody else waits
    issuer.answer.set()
    assert got(client.answer(), "X-Verified-Subject") == ["ann"]
    assert got(client.ask("/kept", issued("bob")), "X-Verified-Subject") == ["bob"]
    assert len(issuer.asked) == 1


def test_key_that_the_issuer_does_not_know_either_is_401(bench: Bench) -> None:
    issuer, upstream = with_issuer(bench, {"keys": []})
    issuer.answer.set()
    client = bench.client()
    for _ in range(2):
        answer = client.ask("/kept", issued())
        assert (answer.status, b"not known" in (answer.header("WWW-Authenticate") or b"")) == (
            401,
            True,
        )
    assert not upstream.requests


@pytest.mark.parametrize("refresh", ["finds nothing", "is not there", "breaks"])
def test_without_any_keys_and_an_issuer_the_answer_is_503(bench: Bench, refresh: str) -> None:
    async def breaks(url: str) -> None:
        raise RuntimeError(url)

    async def finds_nothing(url: str) -> None:
        pass

    ways: dict[str, Callable[[str], Awaitable[None]] | None] = {
        "finds nothing": finds_nothing, "breaks": breaks, "is not there": None
    }  # fmt: skip
    upstream = before(bench, outside=Outside(refresh_keys=ways[refresh]), check={"jwks": JWKS_URL})
    client = bench.client()
    for _ in range(2):
        answer = client.ask("/kept", issued())
        assert (answer.status, answer.header("Retry-After")) == (503, b"1")
    assert client.ask("/kept").status == 401
    assert client.ask("/open").status == 200
    assert len(upstream.requests) == 1


def test_body_that_comes_while_the_keys_are_fetched_is_held_back_and_then_whole(
    bench: Bench,
) -> None:
    issuer, upstream = with_issuer(bench)
    body = bytes(range(256)) * 80_000
    client = bench.client(timeout_s=10)
    client.request("POST", "/kept", issued(), f"Content-Length: {len(body)}")
    sent = threading.Event()

    def send() -> None:
        client.send(body)
        sent.set()

    sender = threading.Thread(target=send)
    sender.start()
    until(lambda: issuer.asked, "the keys are asked for")
    assert not sent.wait(0.3), "20 MB were taken in while nobody was there to take them"
    issuer.answer.set()
    assert client.answer().status == 200
    sender.join()
    assert upstream.requests[-1].body == body


def test_client_that_leaves_while_the_keys_are_fetched_is_not_sent_on(bench: Bench) -> None:
    issuer, upstream = with_issuer(bench)
    other, client = bench.client(), bench.client()
    assert other.ask("/open").status == 200  # its connection is kept, and could be taken
    client.get("/kept?left", issued())
    until(lambda: issuer.asked, "the keys are asked for")
    client.reset()
    until(lambda: bench.proxy.call(lambda: len(bench.proxy.plane.connections)) == 1, "it is gone")
    issuer.answer.set()
    assert other.ask("/kept", issued()).status == 200
    assert upstream.targets == ["/open", "/kept"]


def test_requests_behind_one_that_waits_for_keys_keep_their_order(bench: Bench) -> None:
    issuer, _ = with_issuer(bench)
    client = bench.client()
    client.get("/kept?1", issued())
    client.get("/open?2")
    client.get("/kept?3")
    until(lambda: issuer.asked, "the keys are asked for")
    issuer.answer.set()
    answers = [client.answer() for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 401]
    assert [answer.json()["target"] for answer in answers[:2]] == ["/kept?1", "/open?2"]
