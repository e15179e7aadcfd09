"""Each wait for an upstream has its bound, and whoever ran out of time is named."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from tests.integration.wire.conftest import STREAMED, Bench
from tests.wire_tools.client import Client
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer, Upstream

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"


def before(bench: Bench, script: Any, **route: Any) -> Upstream:
    upstream = bench.upstream(script)
    bench.serve(
        upstreams={"monolith": upstream.url},
        routes=[{"name": "all", "match": "/<path:rest>", "control": "monolith", **route}],
    )
    return upstream


def asked(bench: Bench, upstream: Upstream) -> Client:
    """A client whose request is at the upstream."""
    client = bench.client()
    client.get("/x")
    until(lambda: upstream.requests, "it is there")
    return client


def told(client: Client) -> str:
    answer = client.answer()
    assert answer.status == 504
    return str(answer.json()["detail"])


def test_connection_that_is_not_accepted_in_time(bench: Bench) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = []
        for _ in range(8):  # the kernel's queue is full, and further connections hang
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
            fillers.append(filler)
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        bench.serve(upstreams={"monolith": {"url": url, "connect_timeout_s": 0.2}})
        assert "did not accept a connection in 0.2 s" in told_by_asking(bench)
        for filler in fillers:
            filler.close()


def told_by_asking(bench: Bench) -> str:
    client = bench.client()
    client.get("/x")
    return told(client)


def test_first_byte(bench: Bench) -> None:
    client = asked(bench, before_silent(bench, timeout_s=20, idle_s=5, total_s=100))
    bench.proxy.pass_time(19)
    bench.proxy.pass_time(2)
    assert "did not answer in 20 s" in told(client)


def before_silent(bench: Bench, **route: Any) -> Upstream:
    return before(bench, lambda peer: peer.request() and peer.gone() and None, **route)


@pytest.mark.parametrize(("idle_s", "bound_s"), [(5, 5), (None, 20)])
def test_pause_in_the_middle_of_an_answer_breaks_it(
    bench: Bench, idle_s: float | None, bound_s: float, caplog: Any
) -> None:
    go_on = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(HEAD + b"ab")
        assert go_on.wait(10)
        peer.send(b"cd")
        peer.gone()

    more = {} if idle_s is None else {"idle_s": idle_s}
    client = asked(bench, before(bench, script, timeout_s=20, **more))
    assert client.head().status == 200
    assert client.stream.exactly(2) == b"ab"
    bench.proxy.pass_time(bound_s - 1)
    go_on.set()
    assert client.stream.exactly(2) == b"cd"
    bench.proxy.pass_time(bound_s - 1)
    assert bench.proxy.in_use()
    bench.proxy.pass_time(2)
    assert client.ended()
    assert f"sent nothing more of its answer for {bound_s:g} s" in caplog.text
    tally = bench.proxy.plane.tallies["all", "monolith"]
    assert (tally.requests, tally.failures) == (1, 1)


def test_idle_time_does_not_bound_the_wait_for_the_first_byte(bench: Bench) -> None:
    go_on = threading.Event()

    def script(peer: Peer) -> None:
        request = peer.request()
        assert go_on.wait(10)
        peer.echo(request)

    client = asked(bench, before(bench, script, timeout_s=60, idle_s=1))
    bench.proxy.pass_time(50)
    go_on.set()
    assert client.answer().status == 200


def test_hint_that_comes_first_is_not_the_answer(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        peer.gone()

    client = asked(bench, before(bench, script, timeout_s=20, idle_s=5))
    assert client.head().status == 103
    bench.proxy.pass_time(19)
    assert bench.proxy.in_use()
    bench.proxy.pass_time(2)
    assert "did not answer in 20 s" in told(client)


def test_words_that_come_before_the_answer_buy_it_no_time(bench: Bench) -> None:
    go_on = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        peer.request()
        for _ in range(2):
            assert go_on.acquire(timeout=10)
            peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        peer.gone()

    client = asked(bench, before(bench, script, timeout_s=20))
    for _ in range(2):
        bench.proxy.pass_time(8)
        go_on.release()
        assert client.head().status == 102
    bench.proxy.pass_time(8)
    assert "did not answer in 20 s" in told(client)


def test_all_of_it_before_the_answer(bench: Bench) -> None:
    client = asked(bench, before_silent(bench, timeout_s=20, total_s=10))
    bench.proxy.pass_time(11)
    assert "was not done in 10 s" in told(client)


def test_all_of_it_in_the_middle_of_the_answer_breaks_the_connection(
    bench: Bench, caplog: Any
) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(HEAD + b"ab")
        peer.gone()

    client = asked(bench, before(bench, script, timeout_s=20, total_s=10))
    assert client.head().status == 200
    bench.proxy.pass_time(11)
    client.stream.exactly(2)
    assert client.ended()
    assert "was not done in 10 s" in caplog.text


def test_all_of_it_while_waiting_for_room(bench: Bench) -> None:
    upstream = bench.upstream(lambda peer: peer.request() and peer.gone() and None)
    route = {"name": "all", "match": "/<path:rest>", "control": "monolith", "total_s": 3}
    settings = {"url": upstream.url, "max_connections": 1}
    bench.serve(upstreams={"monolith": settings}, routes=[route])
    blocking = bench.client()
    blocking.get("/x?default")
    until(lambda: upstream.requests, "it is there")
    queued = bench.client()
    queued.get("/x")
    pool = bench.proxy.plane.pools["monolith"]
    until(lambda: bench.proxy.call(lambda: pool.waiting), "it waits")
    bench.proxy.pass_time(4)
    assert "was not done in 3 s" in told(queued)
    assert "was not done in 3 s" in told(blocking)
    assert bench.proxy.call(lambda: pool.waiting) == 0


def test_finished_request_is_not_ended_once_more_when_its_time_is_over(bench: Bench) -> None:
    upstream = bench.upstream()
    route = {"name": "all", "match": "/<path:rest>", "control": "monolith", "total_s": 3}
    bench.serve(upstreams={"monolith": upstream.url}, routes=[route])
    client = bench.client()
    for _ in range(3):
        assert client.ask("/x").status == 200
        bench.proxy.pass_time(4)
    tally = bench.proxy.plane.tallies["all", "monolith"]
    assert (tally.requests, tally.failures) == (3, 0)


def test_short_times_are_never_cut_shorter(bench: Bench) -> None:
    """The plane looks at its clock a few times a second only."""
    slow = threading.Event()

    def script(peer: Peer) -> None:
        while True:
            request = peer.request()
            slow.wait(0.15)
            peer.echo(request)

    before(bench, script, timeout_s=0.2, total_s=0.2)
    client = bench.client()
    statuses = []
    for _ in range(12):
        statuses.append(client.ask("/x").status)
    assert statuses == [200] * 12


def test_slow_upload_bounds_the_client_and_not_the_upstream(bench: Bench) -> None:
    half = threading.Event()

    def script(peer: Peer) -> None:
        peer.head()
        assert peer.stream.exactly(5) == b"12345"
        half.set()
        peer.gone()

    upstream = bench.upstream(script)
    bench.serve(
        upstreams={"monolith": upstream.url},
        default_timeout_s=5,
        limits=STREAMED,
        timeouts={"body_min_rate": 0},
    )
    client = bench.client()
    client.request("POST", "/x", "Content-Length: 10")
    until(lambda: upstream.heads, "it has begun")
    bench.proxy.pass_time(20)
    client.send(b"12345")
    assert half.wait(5)
    bench.proxy.pass_time(20)
    assert bench.proxy.in_use()
    bench.proxy.pass_time(11)
    assert client.answer().status == 408


class Unending:
    """A connection that cannot be timed out."""

    deadline = 0.0
    answering = None
    aborted = False

    def expire(self) -> None:
        raise OSError

    def abort(self) -> None:
        self.aborted = True


def test_connection_that_cannot_be_timed_out_stops_nobody_elses_time(bench: Bench) -> None:
    client = asked(bench, before_silent(bench, timeout_s=20))
    unending = [Unending() for _ in range(5)]  # some of a set come first, whatever its order
    bench.proxy.call(lambda: bench.proxy.plane.connections.update(unending))  # type: ignore[arg-type]
    bench.proxy.pass_time(21)
    assert "did not answer in 20 s" in told(client)
    assert all(each.aborted for each in unending)
    bench.proxy.call(lambda: bench.proxy.plane.connections.difference_update(unending))  # type: ignore[arg-type]
