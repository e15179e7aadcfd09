"""Connections to an upstream: how many, who waits for one, how long they are kept."""

from __future__ import annotations

import threading

import pytest

from strangler_proxy.config.address import Address
from strangler_proxy.wire.endpoint import Member
from tests.integration.wire.conftest import STREAMED, Bench
from tests.integration.wire.counts import echo_when, in_use, queued
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer


def test_no_more_connections_than_allowed_and_those_who_wait_are_served_in_order(
    bench: Bench,
) -> None:
    answers = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        while True:
            request = peer.request()
            assert answers.acquire(timeout=10)
            peer.echo(request)

    upstream = bench.before(script, {"max_connections": 2})
    clients = []
    for number in range(8):
        clients.append(client := bench.client())
        client.request("GET" if number % 2 else "POST", f"/{number}")
        if number < 2:
            until(lambda: len(upstream.requests) == len(clients), "it is asked")
        else:
            until(lambda: queued(bench) == len(clients) - 2, "it waits")
    assert upstream.connections == 2
    for asked in range(3, 9):
        answers.release()
        until(lambda asked=asked: len(upstream.requests) == asked, "the next is asked")
        assert upstream.targets[-1] == f"/{asked - 1}"
    answers.release(2)
    for number, client in enumerate(clients):
        assert client.answer().json()["target"] == f"/{number}"
    assert upstream.targets == [f"/{number}" for number in range(8)]
    until(lambda: in_use(bench) == 0, "all are given back")


def test_full_queue_is_answered_503_with_retry_after(bench: Bench) -> None:
    gate = threading.Event()
    upstream = bench.before(echo_when(gate), {"max_connections": 1, "queue": 1})
    first, second, third = bench.client(), bench.client(), bench.client()
    first.get("/1")
    until(lambda: upstream.requests, "the first is asked")
    second.get("/2")
    until(lambda: queued(bench) == 1, "the second waits")
    third.request("POST", "/3", body=b"x")
    answer = third.answer()
    assert (answer.status, answer.header("Retry-After")) == (503, b"1")
    gate.set()
    assert first.answer().status == second.answer().status == 200
    assert third.ask("/4").status == 200
    assert "/3" not in upstream.targets


def test_waiting_too_long_in_the_queue_is_answered_503(bench: Bench) -> None:
    gate = threading.Event()
    upstream = bench.before(echo_when(gate), {"max_connections": 1, "queue_timeout_s": 5})
    first, second = bench.client(), bench.client()
    first.get("/1")
    until(lambda: upstream.requests, "the first is asked")
    second.request("POST", "/2", body=b"x")
    until(lambda: queued(bench) == 1, "the second waits")
    bench.proxy.pass_time(6)
    answer = second.answer()
    assert (answer.status, answer.header("Retry-After")) == (503, b"1")
    gate.set()
    assert first.answer().status == 200
    assert second.ask("/3").status == 200
    assert upstream.targets == ["/1", "/3"]


@pytest.mark.parametrize("length", [3, 5])
@pytest.mark.parametrize("how", ["reset", "close"])
def test_client_that_hangs_up_while_queued_is_never_served(
    bench: Bench, how: str, length: int
) -> None:
    gate = threading.Event()
    settings = {"max_connections": 1, "reuse": "always", "queue_timeout_s": 0.5}
    upstream = bench.before(echo_when(gate), settings, limits=STREAMED)
    first, second = bench.client(), bench.client()
    first.get("/1")
    until(lambda: upstream.requests, "the first is asked")
    second.request("POST", "/2", f"Content-Length: {length}")
    second.send(b"hel")
    until(lambda: queued(bench) == 1, "the second waits")
    getattr(second, how)()
    until(lambda: queued(bench) == 0, "it waits no more")
    gate.set()
    assert first.answer().status == 200
    assert first.ask("/3").status == 200
    assert [head.target for head in upstream.heads] == ["/1", "/3"]


@pytest.mark.parametrize(
    ("reuse", "get", "post"), [("safe", 1, 3), ("always", 1, 1), ("never", 3, 3)]
)
def test_connections_are_kept_as_configured(bench: Bench, reuse: str, get: int, post: int) -> None:
    upstream = bench.before(settings={"reuse": reuse})
    client = bench.client()
    for _ in range(3):
        assert client.ask("/").status == 200
    assert upstream.connections == get
    upstream.connections = 0
    for _ in range(3):
        client.request("POST", "/", body=b"x")
        assert client.answer().status == 200
    assert upstream.connections == (post if reuse != "always" else 0)


def test_idle_upstream_connection_is_closed_after_its_time(bench: Bench) -> None:
    closed = threading.Event()

    def script(peer: Peer) -> None:
        peer.echo(peer.request())
        if peer.gone():
            closed.set()

    bench.before(script, {"idle_s": 1})
    assert bench.client().ask("/").status == 200
    bench.proxy.pass_time(2)
    assert closed.wait(5)


def test_http_1_0_upstream_and_one_that_says_close_are_not_asked_again(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        if peer.number % 2:
            peer.send(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
        else:
            peer.answer(b"ok", "Connection: close")
        peer.gone()

    upstream = bench.before(script)
    client = bench.client()
    for _ in range(4):
        assert client.ask("/").body == b"ok"
    assert upstream.connections == 4


def test_address_that_is_unusable_in_a_way_that_nobody_thought_of_leaves_no_slot_taken(
    bench: Bench,
) -> None:
    bench.before()
    nowhere = Member(Address(5, 80))  # type: ignore[arg-type]  # asyncio raises TypeError
    bench.proxy.call(lambda: bench.proxy.plane.place("monolith", [nowhere]))
    assert bench.client().ask("/x").status == 502
    assert in_use(bench) == 0
