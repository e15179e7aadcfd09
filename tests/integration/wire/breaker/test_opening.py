"""Failures of an upstream open its breaker; what clients do counts for nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.integration.wire.breaker.moods import Mood, before, break_it, post, refused, state
from tests.integration.wire.conftest import STREAMED, Bench
from tests.wire_tools.ports import free_port
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer, Upstream


@pytest.mark.parametrize("failure", ["bad", "reset", "garbage", "502", "503", "504"])
def test_five_failures_in_a_row_open_it_and_nobody_is_sent_there(
    bench: Bench, mood: Mood, failure: str
) -> None:
    upstream: Upstream = before(bench, mood)
    client = bench.client()
    for number in range(5):
        assert state(bench) == "closed"
        assert not refused(post(client, f"/{failure}")), number
    assert state(bench) == "open"
    before_that = upstream.connections
    for method in ("GET", "POST"):
        client.request(method, "/", body=b"x")
        answer = client.answer()
        assert refused(answer)
        assert 50 <= int(answer.header("Retry-After") or 0) <= 61
    assert (upstream.connections, len(upstream.requests)) == (before_that, 5)
    events = bench.proxy.plane.events
    assert events["breaker-opened", "monolith", ""] == 1
    assert events["refused", "(default)", "breaker"] == 2


def test_answers_that_do_not_come_in_time_open_it(bench: Bench, mood: Mood) -> None:
    upstream: Upstream = before(bench, mood)
    for number in range(5):
        client = bench.client()
        client.get("/silent")
        until(lambda: len(upstream.requests) > number, "it is there")  # noqa: B023
        bench.proxy.pass_time(21)
        assert client.answer().status == 504
    assert state(bench) == "open"


def test_refused_connections_open_it(bench: Bench) -> None:
    breaker = {"failures": 5}
    bench.serve(
        upstreams={"monolith": {"url": f"http://127.0.0.1:{free_port()}", "breaker": breaker}}
    )
    client = bench.client()
    assert [post(client).status for _ in range(7)] == [502] * 5 + [503] * 2
    assert state(bench) == "open"


def test_answers_that_break_off_open_it(bench: Bench, mood: Mood) -> None:
    before(bench, mood)
    for _ in range(5):
        client = bench.client()
        client.request("POST", "/cut", body=b"x")
        assert client.head().status == 200
        assert client.stream.exactly(4) == b"half"
        assert client.ended()
    assert state(bench) == "open"


def test_good_answer_in_between_keeps_it_closed(bench: Bench, mood: Mood) -> None:
    before(bench, mood)
    client = bench.client()
    for _ in range(4):
        for _ in range(4):
            post(client, "/bad")
        post(client)
    assert state(bench) == "closed"


def test_answers_that_are_the_clients_fault_count_as_good(bench: Bench, mood: Mood) -> None:
    before(bench, mood)
    client = bench.client()
    for status in (400, 401, 404, 429, 499, 501) * 3:
        assert post(client, f"/{status}").status == status
    assert state(bench) == "closed"
    for _ in range(4):
        post(client, "/bad")
    post(client, "/404")
    post(client, "/bad")
    assert state(bench) == "closed"


def test_what_clients_do_counts_for_nothing(bench: Bench, mood: Mood) -> None:
    upstream: Upstream = before(bench, mood, limits=STREAMED)
    for number in range(6):
        hangs_up = bench.client()
        hangs_up.get("/silent")
        until(lambda: len(upstream.requests) > number, "it is there")  # noqa: B023
        hangs_up.reset()
    for number in range(6):
        stops_sending = bench.client()
        stops_sending.request("POST", "/", "Content-Length: 100")
        until(lambda: len(upstream.heads) > 6 + number, "it is there")  # noqa: B023
        stops_sending.reset()
    for _ in range(6):
        sends_nonsense = bench.client()
        sends_nonsense.request("POST", "/", "Transfer-Encoding: chunked")
        sends_nonsense.send(b"nonsense\r\n")
        assert sends_nonsense.answer().status == 400
    for _ in range(6):
        is_slow, known = bench.client(), len(upstream.heads)
        is_slow.request("POST", "/", "Content-Length: 100")
        until(lambda: len(upstream.heads) > known, "it is there")  # noqa: B023
        bench.proxy.pass_time(31)
        assert is_slow.answer().status == 408
    until(lambda: not bench.proxy.in_use(), "all are gone")
    assert state(bench) == "closed"
    client = bench.client()
    for _ in range(4):
        post(client, "/bad")
    assert state(bench) == "closed"


def test_requests_that_find_the_queue_full_are_no_failures(bench: Bench, mood: Mood) -> None:
    upstream = before(bench, mood, {"max_connections": 1, "queue": 1, "queue_timeout_s": 5})
    busy, queued = bench.client(), bench.client()
    busy.get("/held")
    until(lambda: upstream.requests, "it is there")
    queued.get("/good")
    pool = bench.proxy.plane.pools["monolith"]
    until(lambda: bench.proxy.call(lambda: pool.waiting), "it waits")
    client = bench.client()
    assert all("queue is full" in client.ask("/good").json()["detail"] for _ in range(10))
    bench.proxy.pass_time(6)
    assert "in time" in queued.answer().json()["detail"]
    assert state(bench) == "closed"
    mood.let_go.set()
    assert busy.answer().body == b"held"


def test_kept_connection_that_the_upstream_had_closed_is_no_failure(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.echo(peer.request())
        if peer.number % 2 == 0:
            peer.request()  # read, and closed without an answer, as a race would have it
            return
        peer.request()

    before(bench, script, {"reuse": "always", "breaker": {"failures": 1}})
    client = bench.client()
    for _ in range(10):
        assert client.ask("/good").status == 200
    assert state(bench) == "closed"
    assert post(client, "/good").status == 502
    assert state(bench) == "closed"


def test_late_answers_to_what_was_sent_before_change_nothing(bench: Bench, mood: Mood) -> None:
    upstream: Upstream = before(bench, mood)
    late = [bench.client() for _ in range(12)]
    for number, client in enumerate(late):
        client.get("/held" if number % 2 else "/held-bad")
    until(lambda: len(upstream.requests) == 12, "they are there")
    break_it(bench)
    bench.proxy.pass_time(10)
    mood.let_go.set()
    assert Counter(client.answer().status for client in late) == {200: 6, 500: 6}
    assert state(bench) == "open"
    bench.proxy.pass_time(51)
    assert state(bench) == "half-open"
    assert bench.client().ask("/good").status == 200
    assert state(bench) == "closed"


def test_ratio_opens_it_once_there_are_enough_requests(bench: Bench, mood: Mood) -> None:
    before(bench, mood, {"breaker": {"ratio": 0.5, "least_requests": 10}})
    client = bench.client()
    for _ in range(4):
        post(client, "/bad")
        post(client, "/good")
    assert state(bench) == "closed"
    post(client, "/bad")
    assert state(bench) == "closed"
    post(client, "/bad")
    assert state(bench) == "open"


def test_half_dead_addresses_do_not_open_a_breaker_by_ratio(bench: Bench) -> None:
    good = bench.upstream()
    settings = {
        "urls": [f"http://127.0.0.1:{free_port()}", good.url],
        "breaker": {"ratio": 0.3, "least_requests": 4},
        "eject": {"failures": 10**6},
    }
    bench.serve(upstreams={"monolith": settings})
    client = bench.client()
    assert {post(client).status for _ in range(20)} == {200}
    assert state(bench) == "closed"


def test_operator_opens_and_closes_it(bench: Bench, mood: Mood) -> None:
    upstream: Upstream = before(bench, mood)
    breaker = bench.proxy.plane.pools["monolith"].breaker
    assert breaker is not None
    client = bench.client()
    bench.proxy.call(lambda: breaker.force("open"))
    answer = client.ask("/good")
    assert refused(answer)
    assert "operator" in answer.json()["detail"]
    assert not upstream.requests
    bench.proxy.call(lambda: breaker.force("closed"))
    assert [post(client, "/bad").status for _ in range(8)] == [500] * 8
    bench.proxy.call(lambda: breaker.force("auto"))
    assert [post(client, "/bad").status for _ in range(6)] == [500] * 5 + [503]
