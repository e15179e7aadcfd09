"""A refusal at the door leaves the connection in order, whatever of the request still comes."""

from __future__ import annotations

import threading

import pytest

from tests.integration.wire.conftest import Bench
from tests.integration.wire.gate.kept_route import before, send_quietly


@pytest.mark.parametrize("size", [1_000, 100_000, 5_000_000])
def test_refusal_while_the_body_still_comes_is_heard_and_the_body_is_no_request(
    bench: Bench, size: int
) -> None:
    """What follows the head might read as requests; it is a body, whoever refuses it."""
    upstream = before(bench)
    smuggled = b"GET /open HTTP/1.1\r\nHost: h\r\n\r\n"
    body = (smuggled * (size // len(smuggled) + 1))[:size]
    client = bench.client()
    client.request("POST", "/kept", f"Content-Length: {size}")
    sender = threading.Thread(target=send_quietly, args=(client, body))
    sender.start()
    answer = client.answer()
    assert answer.status == 401
    sender.join()
    if answer.header("Connection") == b"close":
        assert client.ended()
    else:  # it had come whole
        assert client.ask("/next").json()["target"] == "/next"
    assert upstream.targets in ([], ["/next"])


def test_client_that_asks_first_is_told_401_and_sends_nothing(bench: Bench) -> None:
    upstream = before(bench)
    client = bench.client()
    client.request("POST", "/kept", "Content-Length: 1000000", "Expect: 100-continue")
    answer = client.answer()
    assert (answer.status, answer.interim) == (401, [])
    assert answer.header("Connection") == b"close"
    assert client.ended()
    assert upstream.connections == 0


def test_chunked_body_that_is_here_whole_leaves_the_connection_open(bench: Bench) -> None:
    before(bench)
    client = bench.client()
    client.send(
        b"POST /kept HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n0\r\n\r\nGET /open HTTP/1.1\r\nHost: h\r\n\r\n"
    )
    assert client.answer().status == 401
    assert client.answer().json()["target"] == "/open"


def test_http_1_0_gets_its_refusal_too(bench: Bench) -> None:
    before(bench)
    client = bench.client()
    client.send(b"GET /kept HTTP/1.0\r\n\r\n")
    assert client.answer().status == 401
    assert client.ended()


def test_upgrade_is_refused_without_a_token(bench: Bench) -> None:
    upstream = before(bench)
    client = bench.client()
    client.get("/kept", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")
    assert client.answer().status == 401
    assert client.ask("/open").status == 200
    assert len(upstream.requests) == 1
