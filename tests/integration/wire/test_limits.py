"""What an upstream may have at the same time is bounded, over all its addresses together; whoever
waits for room waits in a queue that is bounded too, and nobody else waits with them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.wire.conftest import Bench
from tests.wire_tools.client import Client
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer, Upstream


class Slow:
    """A script that answers only when told to, and knows how many it has at the same time."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, peer: Peer) -> None:
        while True:
            request = peer.request()
            with self._lock:
                self.now += 1
                self.most = max(self.most, self.now)
            assert self.let_go.wait(10)
            with self._lock:
                self.now -= 1
            peer.answer(request.target.encode())


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.let_go.set()


def waiting(bench: Bench, name: str = "monolith") -> int:
    return bench.proxy.call(lambda: bench.proxy.plane.pools[name].waiting)


def ask_all(bench: Bench, number: int) -> list[Client]:
    clients = [bench.client() for _ in range(number)]
    for at, client in enumerate(clients):
        client.get(f"/{at}")
    return clients


def test_connections_are_bounded_over_all_addresses_together(bench: Bench, slow: Slow) -> None:
    urls = [bench.upstream(slow).url for _ in range(3)]
    bench.serve(upstreams={"monolith": {"urls": urls, "max_connections": 4}})
    clients = ask_all(bench, 40)
    until(lambda: waiting(bench) == 36, "the others wait")
    assert bench.proxy.in_use() == 4
    slow.let_go.set()
    assert [client.answer().body for client in clients] == [b"/%d" % at for at in range(40)]
    assert slow.most <= 4
    assert (bench.proxy.in_use(), waiting(bench)) == (0, 0)


def test_kept_connections_of_one_address_do_not_shut_out_another(bench: Bench) -> None:
    upstreams = [bench.upstream() for _ in range(3)]
    urls = [upstream.url for upstream in upstreams]
    bench.serve(upstreams={"monolith": {"urls": urls, "max_connections": 1, "idle_s": 1000}})
    client = bench.client()
    for _ in range(9):
        assert client.ask("/").status == 200
    assert [len(upstream.requests) for upstream in upstreams] == [3, 3, 3]
    figures = bench.proxy.call(bench.proxy.plane.pools["monolith"].figures)
    assert figures["idle"] <= 1


def test_queue_is_bounded_and_beyond_it_the_answer_is_503_at_once(bench: Bench, slow: Slow) -> None:
    bench.before(slow, {"max_connections": 1, "queue": 2})
    served = ask_all(bench, 1)
    until(lambda: slow.now, "it is there")
    served += ask_all(bench, 2)
    until(lambda: waiting(bench) == 2, "they wait")
    client = bench.client()
    for _ in range(3):
        answer = client.ask("/more")
        assert (answer.status, answer.header("Retry-After")) == (503, b"1")
        assert "queue is full" in answer.json()["detail"]
    slow.let_go.set()
    assert [one.answer().status for one in served] == [200] * 3


def test_whoever_waits_too_long_is_answered_503_and_is_never_sent(bench: Bench, slow: Slow) -> None:
    upstream = bench.before(slow, {"max_connections": 1, "queue_timeout_s": 5})
    [first] = ask_all(bench, 1)
    until(lambda: slow.now, "it is there")
    late = bench.client()
    late.get("/late")
    until(lambda: waiting(bench), "it waits")
    bench.proxy.pass_time(6)
    answer = late.answer()
    assert (answer.status, answer.header("Retry-After")) == (503, b"1")
    assert "in time" in answer.json()["detail"]
    slow.let_go.set()
    assert first.answer().status == 200
    assert late.ask("/again").status == 200
    assert upstream.targets == ["/0", "/again"]


def test_client_that_waits_for_a_100_while_its_request_is_queued_is_not_blamed(
    bench: Bench, slow: Slow
) -> None:
    bench.before(slow, {"max_connections": 1, "queue_timeout_s": 5})
    ask_all(bench, 1)
    until(lambda: slow.now, "it is there")
    polite = bench.client()
    polite.request("POST", "/", "Content-Length: 3", "Expect: 100-continue")
    until(lambda: waiting(bench), "it waits")
    bench.proxy.pass_time(6)
    assert polite.answer().status == 503


def test_client_that_leaves_makes_room_in_the_queue(bench: Bench, slow: Slow) -> None:
    upstream = bench.before(slow, {"max_connections": 1, "queue": 1})
    [first] = ask_all(bench, 1)
    until(lambda: slow.now, "it is there")
    leaves = bench.client()
    leaves.get("/leaves")
    until(lambda: waiting(bench), "it waits")
    leaves.reset()
    until(lambda: not waiting(bench), "it is gone")
    stays = bench.client()
    stays.get("/stays")
    until(lambda: waiting(bench), "it waits")
    slow.let_go.set()
    assert [first.answer().status, stays.answer().status] == [200, 200]
    assert upstream.targets == ["/0", "/stays"]


def test_those_who_wait_are_served_in_the_order_they_came(bench: Bench) -> None:
    step = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        while True:
            request = peer.request()
            assert step.acquire(timeout=10)
            peer.answer(request.target.encode())

    upstream = bench.before(script, {"max_connections": 1})
    clients = []
    for number in range(8):
        clients.append(bench.client())
        clients[-1].request("POST" if number % 2 else "GET", f"/{number}", body=b"x")
        until(lambda: len(upstream.requests) + waiting(bench) > number, "it waits")  # noqa: B023
    for client in clients:
        step.release()
        client.answer()
    assert upstream.targets == [f"/{number}" for number in range(8)]


def test_room_is_given_back_however_a_request_ends(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        how = peer.request().target
        if how == "/reset":
            peer.reset()
        elif how == "/garbage":
            peer.send(b"garbage\r\n\r\n")
        elif how == "/cut":
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        elif how == "/silent":
            peer.gone()
        elif how == "/surplus":
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more")
        else:
            peer.answer(b"ok")

    upstream = bench.before(script, {"max_connections": 2, "queue_timeout_s": 5})
    for how in ("reset", "garbage", "cut", "silent", "surplus", "good") * 3:
        client, known = bench.client(), len(upstream.requests)
        client.request("POST", f"/{how}", body=b"x")
        until(lambda: len(upstream.requests) > known, "it is there")  # noqa: B023
        if how == "silent":
            client.reset()
        else:
            client.head()
    until(lambda: bench.proxy.in_use() == 0, "all is given back")


def test_upstream_at_its_limit_leaves_others_alone(bench: Bench, slow: Slow) -> None:
    full, free = bench.upstream(slow), bench.upstream()
    bench.serve(
        upstreams={
            "full": {"url": full.url, "max_connections": 2, "queue": 4},
            "free": free.url,
        },
        routes=[{"name": "free", "match": "/free", "control": "free"}],
    )
    ask_all(bench, 6)
    until(lambda: waiting(bench, "full") == 4, "it is full")
    client = bench.client()
    began = time.monotonic()
    for _ in range(50):
        assert client.ask("/free").status == 200
    assert time.monotonic() - began < 2
    assert waiting(bench, "full") == 4


def test_retries_and_probes_wait_for_room_like_anybody(bench: Bench, slow: Slow) -> None:
    """A probe that is queued, and finds no room in time, is no failure."""
    upstream: Upstream = bench.upstream(slow)
    settings: dict[str, Any] = {
        "url": upstream.url, "max_connections": 1, "queue_timeout_s": 5,
        "breaker": {"failures": 1, "open_s": 10},
    }  # fmt: skip
    bench.serve(upstreams={"monolith": settings}, default_timeout_s=1000)
    [first] = ask_all(bench, 1)
    until(lambda: slow.now, "it is there")
    pool = bench.proxy.plane.pools["monolith"]
    bench.proxy.call(lambda: pool.judge(pool.endpoints[0], failed=True))
    bench.proxy.pass_time(11)
    probe = bench.client()
    probe.get("/probe")
    until(lambda: waiting(bench), "it waits")
    bench.proxy.pass_time(6)
    assert "in time" in probe.answer().json()["detail"]
    assert pool.breaker is not None
    assert bench.proxy.call(lambda: pool.breaker.state(bench.proxy.plane.now)) == "half-open"  # type: ignore[union-attr]
    slow.let_go.set()
    assert first.answer().status == 200
    assert bench.client().ask("/good").status == 200
