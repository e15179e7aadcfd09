"""An open breaker is closed, or kept open, by one probe."""

from __future__ import annotations

from collections import Counter

import pytest

from strangler_proxy.policies.board import Board
from strangler_proxy.wire.outside import Outside
from tests.integration.wire.breaker.moods import Mood, before, break_it, post, refused, state
from tests.integration.wire.conftest import Bench
from tests.wire_tools.client import Client
from tests.wire_tools.ports import free_port
from tests.wire_tools.proxy import Proxy, config, until
from tests.wire_tools.upstream import Upstream


def test_of_many_clients_at_once_one_probes(bench: Bench, mood: Mood) -> None:
    upstream: Upstream = before(bench, mood)
    break_it(bench)
    bench.proxy.pass_time(61)
    clients = [bench.client() for _ in range(20)]
    for client in clients:
        client.get("/held")
    until(lambda: bench.proxy.plane.events["refused", "(default)", "breaker"] == 19, "all came")
    until(lambda: len(upstream.requests) == 6, "the probe is there")
    mood.let_go.set()
    assert Counter(client.answer().status for client in clients) == {200: 1, 503: 19}
    assert len(upstream.requests) == 6
    assert state(bench) == "closed"


def test_while_one_probes_everybody_else_is_refused(bench: Bench, mood: Mood) -> None:
    upstream: Upstream = before(bench, mood)
    break_it(bench)
    bench.proxy.pass_time(61)
    probe = bench.client()
    probe.get("/held")
    until(lambda: len(upstream.requests) == 6, "it is there")
    others = [bench.client() for _ in range(20)]
    for client in others:
        client.get("/held")
    assert all(refused(client.answer()) for client in others)
    assert len(upstream.requests) == 6
    mood.let_go.set()
    assert probe.answer().status == 200
    assert bench.client().ask("/good").status == 200


def test_failed_probe_opens_it_for_as_long_again(bench: Bench, mood: Mood) -> None:
    upstream: Upstream = before(bench, mood)
    break_it(bench)
    for number in range(3):
        bench.proxy.pass_time(61)
        client = bench.client()
        assert post(client, "/bad").status == 500
        assert refused(client.ask("/good"))
        bench.proxy.pass_time(58)
        assert refused(client.ask("/good"))
        assert len(upstream.requests) == 6 + number


@pytest.mark.parametrize("how", ["reset", "silent"])
def test_probe_of_any_bad_end_opens_it_again(bench: Bench, mood: Mood, how: str) -> None:
    upstream: Upstream = before(bench, mood)
    break_it(bench)
    bench.proxy.pass_time(61)
    client = bench.client()
    client.get(f"/{how}")
    until(lambda: len(upstream.requests) == 6, "it is there")
    if how == "silent":
        bench.proxy.pass_time(21)
    assert client.answer().status == {"reset": 502, "silent": 504}[how]
    assert state(bench) == "open"
    assert len(upstream.requests) == 6, "a probe is not repeated"


def test_probe_whose_client_hangs_up_lets_another_probe(bench: Bench, mood: Mood) -> None:
    upstream: Upstream = before(bench, mood)
    break_it(bench)
    bench.proxy.pass_time(61)
    for number in range(3):
        leaves = bench.client()
        leaves.get("/silent")
        until(lambda: len(upstream.requests) == 6 + number, "it is there")  # noqa: B023
        assert refused(bench.client().ask("/good"))
        leaves.reset()
        until(lambda: not bench.proxy.in_use(), "it is gone")
    assert state(bench) == "half-open"
    assert bench.client().ask("/good").status == 200
    assert state(bench) == "closed"


def test_probe_opens_a_connection_of_its_own(bench: Bench, mood: Mood) -> None:
    upstream: Upstream = before(bench, mood, {"idle_s": 10_000})
    client = bench.client()
    assert client.ask("/good").json()["connection"] == 0
    for _ in range(5):
        client.request("PUT", "/bad", body=b"x")
        assert client.answer().status == 500
    assert upstream.connections == 1
    bench.proxy.pass_time(61)
    assert client.ask("/good").json()["connection"] == 1
    assert client.ask("/good").json()["connection"] in (0, 1)


def test_head_of_a_probes_answer_closes_it_however_long_the_rest_takes(
    bench: Bench, mood: Mood
) -> None:
    before(bench, mood)
    break_it(bench)
    bench.proxy.pass_time(61)
    probe = bench.client()
    probe.get("/endless")
    assert probe.head().status == 200
    assert bench.client().ask("/good").status == 200
    assert state(bench) == "closed"
    mood.let_go.set()


def test_probe_whose_address_is_dead_goes_to_another(bench: Bench, mood: Mood) -> None:
    good = bench.upstream(mood)
    urls = [f"http://127.0.0.1:{free_port()}", good.url]
    settings = {"urls": urls, "breaker": {"failures": 5}, "eject": {"failures": 10**6}}
    bench.serve(upstreams={"monolith": settings}, default_timeout_s=20)
    for _ in range(4):  # whichever address has its turn
        break_it(bench)
        bench.proxy.pass_time(61)
        assert post(bench.client(), "/good").status == 200
        assert state(bench) == "closed"


def test_two_workers_are_one_breaker(bench: Bench, mood: Mood) -> None:
    upstream = bench.upstream(mood)
    served = config(upstreams={"monolith": {"url": upstream.url, "breaker": {"failures": 5}}})
    board = Board()

    def worker() -> Proxy:
        return Proxy(served, Outside(board=Board(board.fd)), rows={"monolith": 3})

    with worker() as one, worker() as two, Client(one.port) as first, Client(two.port) as second:
        for client in (first, second, first, second, first):
            assert post(client, "/bad").status == 500
        assert refused(first.ask("/good"))
        assert refused(second.ask("/good"))
        for proxy in (one, two):
            proxy.pass_time(61)
        first.get("/held")
        until(lambda: len(upstream.requests) == 6, "it probes")
        assert all(refused(second.ask("/good")) for _ in range(5))
        mood.let_go.set()
        assert first.answer().status == 200
        assert second.ask("/good").status == 200
