"""What cannot be understood in one way only gets a clear answer and reaches no upstream."""

from __future__ import annotations

import threading

import pytest

from tests.integration.wire.conftest import STREAMED, Bench
from tests.integration.wire.counts import echo_when
from tests.wire_tools.client import Answer, Client
from tests.wire_tools.malformed import BAD_BODIES, BAD_HEADS
from tests.wire_tools.proxy import until


def refused(client: Client) -> Answer:
    """The answer that ends a connection: a problem that says what is wrong, then the end."""
    answer = client.answer()
    assert 400 <= answer.status < 600
    assert answer.header("Content-Type") == b"application/problem+json"
    assert answer.header("Connection") == b"close"
    told = answer.json()
    assert told["status"] == answer.status
    assert told["detail"]
    assert told["request_id"].encode() == answer.header("X-Request-ID") != b""
    assert client.ended()
    return answer


@pytest.mark.parametrize("head", BAD_HEADS, ids=lambda head: repr(head)[:70])
def test_malformed_head_is_answered_400_and_reaches_no_upstream(bench: Bench, head: bytes) -> None:
    upstream = bench.before()
    client = bench.client()
    client.send(head)
    assert refused(client).status in (400, 501, 505)
    assert not upstream.heads


@pytest.mark.parametrize("head", BAD_HEADS, ids=lambda head: repr(head)[:70])
def test_requests_before_a_malformed_one_are_answered(bench: Bench, head: bytes) -> None:
    upstream = bench.before()
    client = bench.client()
    good = b"POST /good HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
    client.send(good + b"GET /two HTTP/1.1\r\nHost: h\r\n\r\n" + head)
    assert client.answer().json()["body"] == "hi"
    assert client.answer().json()["target"] == "/two"
    refused(client)
    assert upstream.targets == ["/good", "/two"]


@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: repr(body)[:70])
def test_malformed_body_is_answered_400_and_no_upstream_takes_it_for_whole(
    bench: Bench, body: bytes, keep_alive: bool
) -> None:
    upstream = bench.before()
    client = bench.client()
    option = "keep-alive" if keep_alive else "close"
    client.request("POST", "/pay", "Transfer-Encoding: chunked", f"Connection: {option}")
    client.send(body)
    assert refused(client).status == 400
    assert not upstream.requests


def test_malformed_body_of_a_queued_request_never_reaches_the_upstream(bench: Bench) -> None:
    gate = threading.Event()
    upstream = bench.before(echo_when(gate), {"max_connections": 1, "reuse": "always"})
    first, second = bench.client(), bench.client()
    first.get("/first")
    until(lambda: upstream.connections == 1, "the first has the only connection")
    second.request("POST", "/bad", "Transfer-Encoding: chunked")
    second.send(b"5\r\nhello\r\nZZ\r\n")
    assert refused(second).status == 400
    gate.set()
    assert first.answer().json()["target"] == "/first"
    third = bench.client()
    assert third.ask("/third").json()["target"] == "/third"
    assert [head.target for head in upstream.heads] == ["/first", "/third"]


def test_as_many_header_lines_as_allowed_pass_whatever_they_mean(bench: Bench) -> None:
    bench.before(limits=LIMITS)
    lines = ["TE: a", "Via: 1.1 a", "Expect: 100-continue", "Connection: a", *["X-A: 1"] * 4]
    client = bench.client()
    client.request("POST", "/", *lines, body=b"x")  # and Host and Content-Length
    assert client.answer().status == 200


LIMITS = {"target_bytes": 100, "header_bytes": 1000, "headers": 10, "body_bytes": 50}


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"x" * 100 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
        (b"GET /" + b"x" * 5000, 414),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 1000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 5000, 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"A: 1\r\n" * 11 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"TE: a\r\n" * 10 + b"\r\n", 431),
        (b"\r\n" * 600, 431),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 51\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 51\r\n\r\n", 413),
    ],
    ids=lambda value: repr(value)[:40],
)
@pytest.mark.parametrize("step", [None, 7])
def test_limits_are_answered_and_nothing_over_them_is_passed_on(
    bench: Bench, request_bytes: bytes, status: int, step: int | None
) -> None:
    upstream = bench.before(limits=LIMITS)
    client = bench.client()
    for at in range(0, len(request_bytes), step or len(request_bytes)):
        try:
            client.send(request_bytes[at : at + (step or len(request_bytes))])
        except ConnectionError:
            break
    assert refused(client).status == status
    assert not upstream.heads


def test_chunked_body_beyond_the_limit_is_cut_off(bench: Bench) -> None:
    upstream = bench.before(limits=LIMITS)
    client = bench.client()
    client.request("POST", "/", "Transfer-Encoding: chunked")
    for _ in range(3):
        client.send(b"14\r\n" + b"x" * 20 + b"\r\n")
    assert refused(client).status == 413
    assert not upstream.requests


@pytest.mark.parametrize(
    "flood",
    [b"0\r\nX: " + b"x" * 500_000, b"0\r\n" + b"X: y\r\n" * 90_000, b"1;" + b"x" * 500_000],
    ids=["one long trailer", "many trailers", "long chunk extension"],
)
def test_endless_trailers_and_chunk_extensions_are_cut_off(bench: Bench, flood: bytes) -> None:
    upstream = bench.before(limits={**LIMITS, **STREAMED})
    client = bench.client()
    client.request("POST", "/", "Transfer-Encoding: chunked")
    client.send(b"1\r\nx\r\n")
    until(lambda: upstream.heads, "the request has begun")
    for at in range(0, len(flood), 5000):
        try:
            client.send(flood[at : at + 5000])
        except ConnectionError:
            break
    assert refused(client).status == 431
    assert not upstream.requests


def test_limits_do_not_hit_what_is_within_them(bench: Bench) -> None:
    bench.before(limits=LIMITS)
    client = bench.client()
    pipelined = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\n" + b"x" * 50
    client.send(pipelined * 40)
    for _ in range(40):
        assert client.answer().json()["body"] == "x" * 50


def test_slow_head_is_answered_408(bench: Bench) -> None:
    upstream = bench.before()
    client = bench.client()
    client.send(b"GET / HTTP/1.1\r\nHo")
    until(lambda: bench.proxy.call(bench.proxy.plane.connections.copy), "it is connected")
    client.send(b"st: h\r\n")
    until(
        lambda: bench.proxy.call(
            lambda: all(c._in_head for c in bench.proxy.plane.connections)  # type: ignore[attr-defined]
        ),
        "the head has begun",
    )
    bench.proxy.pass_time(11)
    assert refused(client).status == 408
    assert not upstream.heads


def test_head_may_not_be_dripped_beyond_its_time(bench: Bench) -> None:
    bench.before(timeouts={"header_s": 0.5})
    client = bench.client()
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\nX: ")
    client.sock.settimeout(0.05)
    for _ in range(200):
        try:
            client.send(b"x")
            if client.stream.fill():
                break
        except TimeoutError:
            continue
        except ConnectionError:
            pytest.fail("cut off without an answer")
    client.sock.settimeout(10)
    assert client.answer().status == 408


def test_body_that_stops_is_answered_408_and_given_up_upstream(bench: Bench) -> None:
    upstream = bench.before(timeouts={"body_idle_s": 7}, limits=STREAMED)
    client = bench.client()
    client.request("POST", "/", "Content-Length: 10")
    client.send(b"12345")
    until(lambda: upstream.heads, "the request has begun")
    bench.proxy.pass_time(8)
    assert refused(client).status == 408
    assert not upstream.requests


def test_body_that_stops_while_queued_is_given_up_and_never_sent(bench: Bench) -> None:
    gate = threading.Event()
    settings = {"max_connections": 1, "reuse": "always"}
    upstream = bench.before(echo_when(gate), settings, limits=STREAMED)
    first, second = bench.client(), bench.client()
    first.get("/first")
    until(lambda: upstream.connections == 1, "the first has the only connection")
    second.request("POST", "/queued", "Content-Length: 10")
    until(
        lambda: bench.proxy.call(lambda: len(bench.proxy.plane.pools["monolith"]._waiting)),
        "the second is queued",
    )
    bench.proxy.pass_time(6)
    assert second.answer().status in (408, 503)
    gate.set()
    assert first.answer().status == 200
    assert bench.client().ask("/third").status == 200
    assert [head.target for head in upstream.heads] == ["/first", "/third"]


def test_idle_connection_is_closed_without_a_word(bench: Bench) -> None:
    bench.before()
    fresh, used = bench.client(), bench.client()
    assert used.ask("/").status == 200
    until(lambda: len(bench.proxy.call(bench.proxy.plane.connections.copy)) == 2, "both are there")
    bench.proxy.pass_time(11)
    assert fresh.ended()
    assert used.ask("/").status == 200
    bench.proxy.pass_time(76)
    assert used.ended()


def test_head_without_an_end_is_not_kept_while_an_earlier_request_is_answered(
    bench: Bench,
) -> None:
    gate = threading.Event()
    upstream = bench.before(echo_when(gate))
    client = bench.client()
    client.get("/first")
    until(lambda: upstream.requests, "it is asked")
    client.send(b"GET /second HTTP/1.1\r\nHost: a\r\n")
    for _ in range(100):
        client.send(b"X-A: 1234567890\r\n" * 1000)
    (connection,) = bench.proxy.plane.connections
    kept = bench.proxy.call(lambda: sum(map(len, connection._lines)))  # type: ignore[attr-defined]
    gate.set()
    assert [client.answer().status for _ in range(2)] == [200, 431]
    assert kept < 600_000
