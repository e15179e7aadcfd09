"""An upstream that fails is not asked for a while, then by one probe; what clients do counts for
nothing, and the control answers meanwhile where the route says so."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from strangler_proxy.policies.board import Board
from strangler_proxy.wire.outside import Outside
from tests.integration.wire.conftest import Bench
from tests.integration.wire.test_upstream_trouble import free_port
from tests.wire_tools.client import Answer, Client
from tests.wire_tools.proxy import Proxy, config, until
from tests.wire_tools.upstream import Peer, Upstream


class Mood:
    """A script whose behaviour changes from one moment to the next."""

    def __init__(self) -> None:
        self.now = "good"
        self.let_go = threading.Event()

    def __call__(self, peer: Peer) -> None:
        while True:
            request = peer.request()
            how = request.target.strip("/") or self.now
            if how == "bad":
                peer.answer(b"", status="500 Oh")
            elif how == "reset":
                peer.reset()
                return
            elif how == "garbage":
                peer.send(b"garbage\r\n\r\n")
            elif how == "silent":
                peer.gone()
                return
            elif how == "held":
                assert self.let_go.wait(10)
                peer.answer(b"held")
            elif how == "held-bad":
                assert self.let_go.wait(10)
                peer.answer(b"", status="500 Oh")
            elif how == "cut":
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
                return
            elif how.isdigit():
                peer.answer(b"", status=f"{how} X")
            elif how == "endless":
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
                assert self.let_go.wait(10)
                peer.send(b" full")
            else:
                peer.echo(request)


@pytest.fixture
def mood() -> Iterator[Mood]:
    made = Mood()
    yield made
    made.let_go.set()


def before(bench: Bench, mood: Callable[[Peer], None], settings: Any = None, **more: Any) -> Any:
    given = {"breaker": {"failures": 5, "open_s": 60}, **(settings or {})}
    return bench.before(mood, given, default_timeout_s=20, **more)


def state(bench: Bench) -> str:
    pool = bench.proxy.plane.pools["monolith"]
    assert pool.breaker is not None
    return bench.proxy.call(lambda: pool.breaker.state(bench.proxy.plane.now))  # type: ignore[union-attr]


def refused(answer: Answer) -> bool:
    """Whether the proxy itself said that the breaker is open."""
    told = answer.status == 503 and answer.header("Content-Type") == b"application/problem+json"
    assert not told or answer.header("Retry-After")
    return told


def post(client: Client, target: str = "/") -> Answer:
    client.request("POST", target, body=b"x")
    return client.answer()


def break_it(bench: Bench) -> None:
    client = bench.client()
    for _ in range(5):
        assert post(client, "/bad").status == 500
    assert state(bench) == "open"


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
    upstream: Upstream = before(bench, mood)
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


# --- half open


def test_of_many_clients_at_once_one_probes(bench: Bench, mood: Mood) -> None:
    upstream: Upstream = before(bench, mood)
    break_it(bench)
    bench.proxy.pass_time(61)
    clients = [bench.client() for _ in range(20)]
    for client in clients:
        client.get("/held")
    until(lambda: bench.proxy.plane.events["refused", "(default)", "breaker"] == 19, "all came")
    assert len(upstream.requests) == 6
    mood.let_go.set()
    assert Counter(client.answer().status for client in clients) == {200: 1, 503: 19}
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


# --- ratio, operators


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


# --- the control answers meanwhile


@pytest.mark.parametrize(
    "serve", ["candidate", {"candidate_percent": 99, "sticky": "header:x-who"}, "canary"]
)
@pytest.mark.parametrize("when_open", ["control", "refuse"])
def test_traffic_of_an_open_candidate_goes_where_the_route_says(
    bench: Bench, mood: Mood, serve: Any, when_open: str
) -> None:
    old, new = bench.upstream(), bench.upstream(mood)
    canary = {"percent": 99, "sticky": "header:x-who"}
    bench.serve(
        upstreams={
            "old": old.url,
            "new": {"url": new.url, "breaker": {"failures": 5}, "canary": canary},
        },
        routes=[
            {
                "name": "all", "match": "/<path:rest>", "control": "old", "candidate": "new",
                "serve": serve, "when_open": when_open,
            }
        ],
    )  # fmt: skip
    client = bench.client()
    while len(new.requests) < 5:
        client.request("POST", "/bad", f"X-Who: {len(new.requests)}{len(old.requests)}", body=b"x")
        client.answer()
    before_that = len(old.requests)
    answers = [client.ask("/good", f"X-Who: {number}") for number in range(30)]
    assert len(new.requests) == 5
    if when_open == "control":
        assert {answer.status for answer in answers} == {200}
        assert len(old.requests) == before_that + 30
        assert bench.proxy.plane.events["fallback", "all", "new"] >= 25
    else:
        assert sum(refused(answer) for answer in answers) >= 25
    bench.proxy.pass_time(61)
    assert {client.ask("/good", f"X-Who: {number}").status for number in range(30)} == {200}
    assert len(new.requests) > 25


def test_open_control_falls_back_to_nobody(bench: Bench, mood: Mood) -> None:
    new = bench.upstream()
    old = bench.upstream(mood)
    bench.serve(
        upstreams={"old": {"url": old.url, "breaker": {"failures": 5}}, "new": new.url},
        routes=[
            {
                "name": "all", "match": "/<path:rest>", "control": "old", "candidate": "new",
                "serve": "control", "when_open": "control",
            }
        ],
    )  # fmt: skip
    client = bench.client()
    assert [post(client, "/bad").status for _ in range(6)] == [500] * 5 + [503]
    assert not new.requests


def test_if_both_are_open_the_answer_is_503(bench: Bench, mood: Mood) -> None:
    old, new = bench.upstream(mood), bench.upstream(mood)
    breaker = {"failures": 1}
    bench.serve(
        upstreams={
            "old": {"url": old.url, "breaker": breaker},
            "new": {"url": new.url, "breaker": breaker},
        },
        routes=[
            {
                "name": "all", "match": "/<path:rest>", "control": "old", "candidate": "new",
                "serve": "candidate", "when_open": "control",
            }
        ],
    )  # fmt: skip
    client = bench.client()
    assert [post(client, "/bad").status for _ in range(2)] == [500, 500]
    answer = post(client, "/bad")
    assert refused(answer)
    assert "'new'" in answer.json()["detail"]
    assert (len(old.requests), len(new.requests)) == (1, 1)


def test_candidate_without_any_address_falls_back_too(bench: Bench, mood: Mood) -> None:
    old, new = bench.upstream(), bench.upstream()
    bench.serve(
        upstreams={"old": old.url, "new": {"url": new.url, "breaker": {}}},
        routes=[
            {
                "name": "all", "match": "/<path:rest>", "control": "old", "candidate": "new",
                "serve": "candidate", "when_open": "control",
            }
        ],
    )  # fmt: skip
    bench.proxy.place("new")
    assert bench.client().ask("/good").status == 200
    assert (len(old.requests), len(new.requests)) == (1, 0)
