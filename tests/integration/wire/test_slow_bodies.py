"""A client that sends too slowly is answered 408, and nobody else is blamed or kept waiting."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.integration.wire.conftest import STREAMED, Bench
from tests.integration.wire.counts import connections, echo_when, first_logged, in_use
from tests.wire_tools.client import Client
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer, Upstream

RATE, GRACE_S = 500, 20
WAYS = pytest.mark.parametrize("limits", [{}, STREAMED], ids=["gathered", "streamed"])
BREAKER = {"breaker": {"failures": 1, "open_s": 60}}


def came(bench: Bench) -> int:
    """Bytes of the only request's body that are here."""

    def ask() -> int:
        exchanges = [connection.answering for connection in bench.proxy.plane.connections]
        return sum(exchange.body_bytes for exchange in exchanges if exchange is not None)

    return bench.proxy.call(ask)


def sent(bench: Bench, client: Client, body: bytes) -> None:
    """Send some of a body, and wait until the proxy has read it."""
    before = came(bench)
    client.send(body)
    until(lambda: came(bench) == before + len(body), "it is read")


def begun(bench: Bench, length: int = 1_000_000, *lines: str) -> Client:
    client = bench.client()
    client.request("POST", "/x", f"Content-Length: {length}", *lines)
    until(lambda: bench.proxy.call(lambda: any(
        connection.answering for connection in bench.proxy.plane.connections
    )), "it has begun")  # fmt: skip
    return client


def broken_off(upstream: Upstream) -> bool:
    """Whether no whole request has come to an upstream."""
    return not upstream.requests


@WAYS
def test_dripping_body_is_answered_408_in_time_and_given_up(
    bench: Bench, limits: Any, caplog: Any
) -> None:
    upstream = bench.before(settings=BREAKER, limits=limits)
    client = begun(bench)
    for _ in range(GRACE_S - 1):
        sent(bench, client, b"x")
        bench.proxy.pass_time(1)
    sent(bench, client, b"x")
    bench.proxy.pass_time(1.1)
    answer = client.answer()
    assert answer.status == 408
    assert f"less than {RATE} bytes a second" in answer.json()["detail"]
    assert client.ended()
    until(lambda: in_use(bench) == 0, "the upstream is free")
    assert broken_off(upstream)
    assert bench.proxy.plane.events["refused", "(default)", "slow-body"] == 1
    assert bench.client().ask("/").status == 200  # the breaker would be open after one failure
    assert not caplog.text


def test_fast_beginning_pays_for_no_slow_end(bench: Bench) -> None:
    upstream = bench.before(limits=STREAMED)
    client = begun(bench, 17_000_000)
    sent(bench, client, b"x" * 300_000)
    until(lambda: upstream.heads, "it is being sent")
    for _ in range(GRACE_S):
        sent(bench, client, b"x")
        bench.proxy.pass_time(1)
    bench.proxy.pass_time(0.5)
    assert client.answer().status == 408
    until(lambda: in_use(bench) == 0, "the upstream is free")


@WAYS
def test_slow_but_honest_upload_passes(bench: Bench, limits: Any) -> None:
    def script(peer: Peer) -> None:
        peer.answer(hashlib.sha256(peer.request().body).hexdigest().encode())

    bench.before(script, limits=limits)
    body = bytes(range(250)) * 4 * 120
    client = begun(bench, len(body))
    for at in range(0, len(body), 1000):
        sent(bench, client, body[at : at + 1000]) if at + 1000 < len(body) else client.send(
            body[at:]
        )
        bench.proxy.pass_time(1.5)
    assert client.answer().body.decode() == hashlib.sha256(body).hexdigest()


@WAYS
def test_pause_shorter_than_the_grace_passes(bench: Bench, limits: Any) -> None:
    bench.before(limits=limits)
    client = begun(bench, 40_000)
    for _ in range(3):
        bench.proxy.pass_time(GRACE_S - 1)
        sent(bench, client, b"x" * 10_000)
    client.send(b"x" * 10_000)
    assert len(client.answer().json()["body"]) == 40_000


def test_upstream_that_reads_slowly_is_not_the_clients_fault(bench: Bench) -> None:
    go = threading.Event()

    def script(peer: Peer) -> None:
        head = peer.head()
        assert go.wait(30)
        peer.body_of(head)
        peer.answer(hashlib.sha256(upstream.requests[-1].body).hexdigest().encode())

    upstream = bench.before(script, default_timeout_s=600, timeouts={"body_idle_s": 500})
    body = bytes(range(256)) * 4 * 2**14
    client = begun(bench, len(body))
    sender = threading.Thread(target=lambda: client.send(body))
    sender.start()
    paused = lambda: any(c._paused for c in bench.proxy.plane.connections)  # type: ignore[attr-defined] # noqa: E731
    until(lambda: bench.proxy.call(paused), "the client is held back")
    for _ in range(10):
        bench.proxy.pass_time(50)
    assert in_use(bench) == 1
    go.set()
    assert client.answer().body.decode() == hashlib.sha256(body).hexdigest()
    sender.join()


def test_upstream_that_never_reads_is_the_one_who_timed_out(bench: Bench) -> None:
    upstream = bench.before(lambda peer: peer.head() and peer.sock.recv(1) and hang(peer))  # type: ignore[arg-type,func-returns-value]
    client = begun(bench, 2**26)
    sender = threading.Thread(target=lambda: until_refused(client, b"x" * 2**26))
    sender.start()
    until(lambda: upstream.heads, "it is asked")
    paused = lambda: any(c._paused for c in bench.proxy.plane.connections)  # type: ignore[attr-defined] # noqa: E731
    until(lambda: bench.proxy.call(paused), "the client is held back")
    bench.proxy.pass_time(50)
    assert in_use(bench) == 1
    bench.proxy.pass_time(11)
    answer = client.answer()
    assert (answer.status, "did not answer in 60 s" in answer.json()["detail"]) == (504, True)
    hung.set()
    sender.join()


hung = threading.Event()


def hang(_peer: Peer) -> None:
    hung.clear()
    hung.wait(10)


def until_refused(client: Client, body: bytes) -> None:
    try:
        client.send(body)
    except OSError:
        return


def test_client_that_waits_for_100_is_not_slow(bench: Bench) -> None:
    go = threading.Event()

    def script(peer: Peer) -> None:
        head = peer.head()
        assert go.wait(10)
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.body_of(head)
        peer.echo(head)

    upstream = bench.before(script)
    client = begun(bench, 4, "Expect: 100-continue")
    until(lambda: upstream.heads, "it is asked")
    bench.proxy.pass_time(GRACE_S + 5)
    go.set()
    assert client.head().status == 100
    bench.proxy.pass_time(GRACE_S - 1)
    client.send(b"body")
    assert client.answer().json()["body"] == "body"


def test_client_that_has_its_100_and_sends_nothing_is_slow(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.gone()

    bench.before(script)
    client = begun(bench, 4, "Expect: 100-continue")
    assert client.head().status == 100
    bench.proxy.pass_time(GRACE_S + 1)
    assert client.answer().status == 408


def test_client_that_is_being_answered_may_think_before_it_says_more(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfi")
        peer.stream.exactly(4)
        peer.send(b"ve")

    bench.before(script, limits=STREAMED)
    client = begun(bench, 4)
    assert client.head().status == 200
    assert client.stream.exactly(2) == b"fi"
    bench.proxy.pass_time(GRACE_S + 5)
    client.send(b"body")
    assert client.stream.exactly(2) == b"ve"


def test_no_least_rate_where_none_is_asked_for(bench: Bench) -> None:
    bench.before(timeouts={"body_min_rate": 0})
    client = begun(bench, 6)
    for _ in range(3):
        bench.proxy.pass_time(29)
        sent(bench, client, b"x")
    bench.proxy.pass_time(29)
    client.send(b"xxx")
    assert client.answer().status == 200


def test_body_behind_another_request_is_judged_from_its_turn_on(bench: Bench) -> None:
    go = threading.Event()
    upstream = bench.before(echo_when(go))
    client = bench.client()
    client.get("/first")
    until(lambda: upstream.heads, "the first is asked")
    client.request("POST", "/second", "Content-Length: 10")
    client.send(b"abc")
    bench.proxy.pass_time(GRACE_S + 5)
    go.set()
    assert client.answer().json()["target"] == "/first"
    until(lambda: came(bench) == 3, "it is the second's turn")
    bench.proxy.pass_time(GRACE_S - 1)
    assert connections(bench) == 1
    bench.proxy.pass_time(1.5)
    answer = client.answer()
    assert "bytes a second" in answer.json()["detail"]
    assert upstream.targets == ["/first"]


def test_framing_alone_is_no_body(bench: Bench) -> None:
    bench.before()
    client = bench.client()
    client.request("POST", "/x", "Transfer-Encoding: chunked")
    client.send(b"1;")
    until(lambda: connections(bench) == 1, "it is there")
    for _ in range(GRACE_S):
        client.send(b"x")
        bench.proxy.pass_time(1)
    bench.proxy.pass_time(1)
    assert client.answer().status == 408


def test_bytes_that_nobody_has_read_yet_are_not_late(bench: Bench) -> None:
    """The proxy itself was busy, or stopped: what waits in the kernel came in time."""
    bench.before()
    client = begun(bench, 20_000)

    def late() -> None:
        client.send(b"x" * 10_000)
        bench.proxy.clock.lead_s += GRACE_S + 5
        bench.proxy.plane.tick()

    bench.proxy.call(late)
    client.send(b"x" * 10_000)
    assert len(client.answer().json()["body"]) == 20_000


@WAYS
def test_slow_client_stands_in_the_log_as_such(bench: Bench, limits: Any, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    upstream = bench.before(limits=limits, access_log={"path": str(log)})
    client = begun(bench)
    until(lambda: upstream.heads or not limits, "it is where it belongs")
    bench.proxy.pass_time(GRACE_S + 1)
    assert client.answer().status == 408
    line = first_logged(log)
    assert (line["status"], line["reason"], line["route"]) == (408, "slow-body", "(default)")
    assert "bytes a second" in line["fault"]


def test_twenty_dripping_bodies_hold_no_thread_of_a_service(bench: Bench) -> None:
    """A service with two threads, as a service with few of them is."""
    threads = threading.Semaphore(2)

    def script(peer: Peer) -> None:
        while True:
            head = peer.head()
            with threads:
                peer.body_of(head)
                peer.answer(b"ok")

    upstream = bench.before(script)
    dripping = [bench.client() for _ in range(20)]
    for number, client in enumerate(dripping):
        client.request("POST", "/login", f"Content-Length: {(10_000, 1_000_000)[number % 2]}")
        client.send(b"x" * 5000)
    for _ in range(3):
        for client in dripping:
            client.send(b"x")
        assert bench.client(timeout_s=1).ask("/users/1").body == b"ok"
    assert upstream.targets == ["/users/1"] * 3
