"""A body is gathered before an upstream is asked: who sends slowly holds a socket of the proxy."""

from __future__ import annotations

import hashlib
import socket
import threading
from pathlib import Path

import pytest

from tests.integration.wire.conftest import Bench
from tests.integration.wire.counts import connections, echo_when, first_logged, in_use
from tests.wire_tools.client import Client
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer

KIB = 1024
GATHER = {"gather_bytes": 64 * KIB}


def gathered(bench: Bench) -> int:
    return bench.proxy.call(lambda: bench.proxy.plane.gathered_bytes)


def digest(peer: Peer) -> None:
    """Answer each request with what its body was."""
    while True:
        peer.answer(hashlib.sha256(peer.request().body).hexdigest().encode())


def begun(bench: Bench, framing: str, body: bytes, *lines: str, method: str = "POST") -> Client:
    """A client whose request has come so far; `body` as it is sent, framing included."""
    before = gathered(bench)
    client = bench.client()
    client.request(method, "/x", framing, *lines)
    client.send(body)
    until(lambda: gathered(bench) >= before + len(body), "it is gathered")
    return client


@pytest.mark.parametrize(
    ("framing", "first", "rest", "body"),
    [
        ("Content-Length: 10", b"first", b"other", "firstother"),
        (
            "Transfer-Encoding: chunked",
            b"5\r\nfirst\r\n",
            b"5;x=y\r\nother\r\n0\r\nX-Sum: 1\r\n\r\n",
            "firstother",
        ),
    ],
)
def test_upstream_is_asked_once_a_small_body_is_here_whole(
    bench: Bench, framing: str, first: bytes, rest: bytes, body: str
) -> None:
    upstream = bench.before()
    client = begun(bench, framing, first)
    assert (upstream.connections, in_use(bench)) == (0, 0)
    client.send(rest)
    assert client.answer().json()["body"] == body
    assert [request.trailers for request in upstream.requests] == (
        [[(b"X-Sum", b"1")]] if "chunked" in framing else [[]]
    )
    assert gathered(bench) == 0
    assert client.ask("/next").status == 200


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 300_000])
def test_bodies_around_the_bound_arrive_byte_for_byte(
    bench: Bench, size: int, chunked: bool
) -> None:
    bench.before(digest, limits=GATHER)
    client = bench.client()
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    for _ in range(3):
        client.request("POST", "/x", framing)
        for at in range(0, len(body), 7001):
            piece = body[at : at + 7001]
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            client.send(b"0\r\n\r\n")
        assert client.answer().body.decode() == hashlib.sha256(body).hexdigest()
    assert gathered(bench) == 0


def test_larger_body_is_passed_on_as_it_comes_once_so_much_is_here(bench: Bench) -> None:
    parts: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.head()
        parts.append(peer.stream.exactly(1000))
        parts.append(peer.stream.exactly(500))
        peer.stream.exactly(500)
        peer.answer(b"done")

    upstream = bench.before(script, limits={"gather_bytes": 1000})
    client = begun(bench, "Content-Length: 2000", b"a" * 999)
    assert upstream.connections == 0
    client.send(b"a")
    until(lambda: parts == [b"a" * 1000], "what was gathered is there")
    assert gathered(bench) == 0
    client.send(b"b" * 500)
    until(lambda: parts[1:] == [b"b" * 500], "the next part is there")
    client.send(b"c" * 500)
    assert client.answer().body == b"done"


def test_body_of_tiny_chunks_takes_no_more_room_than_its_bytes(bench: Bench) -> None:
    bench.before(digest)
    client = bench.client()
    client.request("POST", "/x", "Transfer-Encoding: chunked")
    client.send(b"1\r\nx\r\n" * 20_000)
    until(lambda: gathered(bench) >= 6 * 20_000, "it is gathered")
    exchange = next(iter(bench.proxy.plane.connections)).answering
    assert exchange is not None
    assert len(exchange._pending) <= 1024
    client.send(b"0\r\n\r\n")
    assert client.answer().body.decode() == hashlib.sha256(b"x" * 20_000).hexdigest()


def test_who_finds_no_room_is_passed_on_as_it_comes_and_the_others_are_gathered_on(
    bench: Bench,
) -> None:
    limits = {"gather_bytes": 10_000, "gather_total_bytes": 10_000}
    upstream = bench.before(limits=limits)
    patient = begun(bench, "Content-Length: 8000", b"a" * 6000)
    assert upstream.connections == 0
    other = bench.client()
    other.request("POST", "/other", "Content-Length: 8000")
    other.send(b"b" * 6000)
    until(lambda: upstream.heads, "there is no room for the other")
    until(lambda: gathered(bench) == 6000, "the room that it took is free")
    assert bench.proxy.plane.events["gather-full", "", ""] == 1
    third = begun(bench, "Content-Length: 3000", b"c" * 2000)
    assert [head.target for head in upstream.heads] == ["/other"]
    for client, rest in ((other, b"b" * 2000), (third, b"c" * 1000), (patient, b"a" * 2000)):
        client.send(rest)
        assert client.answer().status == 200
    assert gathered(bench) == 0


def test_what_was_gathered_counts_until_the_upstream_takes_it(bench: Bench) -> None:
    go = threading.Event()

    def script(peer: Peer) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        head = peer.head()
        assert go.wait(10)
        peer.body_of(head)
        peer.answer(b"done")

    upstream = bench.before(script, limits={"gather_bytes": 16 * 2**20})
    client = bench.client()
    sender = threading.Thread(target=lambda: client.request("POST", "/x", body=b"x" * 2**23))
    sender.start()
    until(lambda: upstream.heads, "it is asked")
    assert gathered(bench) > 2**22
    go.set()
    until(lambda: gathered(bench) == 0, "it is taken")
    assert client.answer().body == b"done"
    sender.join()


@pytest.mark.parametrize("how", ["reset", "close", "end"])
def test_client_that_leaves_meanwhile_was_never_there_for_an_upstream(
    bench: Bench, how: str, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    upstream = bench.before(access_log={"path": str(log)})
    client = begun(bench, "Content-Length: 10", b"first")
    getattr(client, how)()
    until(lambda: connections(bench) == 0, "it is seen to have left")
    assert (upstream.connections, gathered(bench)) == (0, 0)
    assert first_logged(log)["status"] == 499


def test_malformed_rest_is_answered_400_and_never_sent(bench: Bench, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    upstream = bench.before(access_log={"path": str(log)})
    client = begun(bench, "Transfer-Encoding: chunked", b"5\r\nfirst\r\n")
    client.send(b"nonsense\r\n")
    assert client.answer().status == 400
    assert client.ended()
    assert (upstream.connections, gathered(bench)) == (0, 0)
    assert first_logged(log)["status"] == 400


def test_body_that_grows_over_the_limit_is_answered_413_and_never_sent(bench: Bench) -> None:
    upstream = bench.before(limits={"body_bytes": 1000})
    client = begun(bench, "Transfer-Encoding: chunked", b"190\r\n" + b"x" * 400 + b"\r\n")
    client.send(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
    assert client.answer().status == 413
    assert (upstream.connections, gathered(bench)) == (0, 0)


def test_client_that_expects_100_is_asked_for_its_body_by_the_upstream(bench: Bench) -> None:
    """RFC 9110 §10.1.1: the expectation is passed on at once, and no 100 is made up."""

    def script(peer: Peer) -> None:
        head = peer.head()
        assert not peer.stream.buffer
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.body_of(head)
        peer.echo(head)

    bench.before(script)
    client = bench.client()
    client.request("POST", "/x", "Expect: 100-continue", "Content-Length: 4")
    assert client.head().status == 100
    client.send(b"bo")
    client.send(b"dy")
    assert client.answer().json()["body"] == "body"


def test_body_that_comes_without_waiting_for_100_is_gathered(bench: Bench) -> None:
    upstream = bench.before()
    client = bench.client()
    client.send(  # in one piece: a head alone is one that waits for its 100
        b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbo"
    )
    until(lambda: gathered(bench) == 2, "it is gathered")
    assert upstream.connections == 0
    client.send(b"dy")
    assert client.answer().json()["body"] == "body"


def test_pipelined_requests_around_a_body_in_parts_are_answered_in_order(bench: Bench) -> None:
    gate = threading.Event()
    upstream = bench.before(echo_when(gate))
    client = bench.client()
    client.get("/first")
    until(lambda: upstream.heads, "the first is asked")
    client.request("POST", "/second", "Content-Length: 9")
    client.send(b"abc")
    gate.set()
    assert client.answer().json()["target"] == "/first"
    until(lambda: gathered(bench) == 3, "the second is gathered")
    assert upstream.targets == ["/first"]
    client.send(b"def")
    client.send(b"ghi" + b"GET /third HTTP/1.1\r\nHost: h\r\n\r\n")
    said = client.answer().json()
    assert (said["target"], said["body"]) == ("/second", "abcdefghi")
    assert client.answer().json()["target"] == "/third"


def test_idempotent_request_that_was_gathered_is_repeated_whole(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        request = peer.request()
        if peer.number:
            peer.echo(request)

    upstream = bench.before(script)
    client = begun(bench, "Content-Length: 60000", b"a" * 30_000, method="PUT")
    client.send(b"b" * 30_000)
    assert client.answer().json()["body"] == "a" * 30_000 + "b" * 30_000
    assert len(upstream.requests) == 2


def test_body_that_is_gathered_waits_neither_in_a_queue_nor_for_a_hold(bench: Bench) -> None:
    """A hold waits for what was sent: this was not, and goes to whoever serves afterwards."""
    from strangler_proxy.wire.hold import Bounds

    upstream = bench.before(settings={"max_connections": 1, "queue": 1})
    clients = [begun(bench, "Content-Length: 10", b"first") for _ in range(3)]
    assert bench.client().ask("/other").status == 200
    plane = bench.proxy.plane
    bounds = Bounds(seconds=20, most_requests=10, most_bytes=2**20)
    hold = bench.proxy.call(lambda: plane.begin_hold("h", ["(default)"], bounds))
    assert bench.proxy.wait(hold.drained(1))
    clients[0].send(b"other")
    until(lambda: bench.proxy.call(lambda: len(hold._parked)) == 1, "it is held")
    assert upstream.targets == ["/other"]
    assert bench.proxy.call(hold.release)["held"] == 1
    assert clients[0].answer().json()["body"] == "firstother"
    for client in clients[1:]:
        client.send(b"other")
        assert client.answer().json()["body"] == "firstother"


def test_draining_proxy_still_gathers_and_answers_what_had_begun(bench: Bench) -> None:
    bench.before()
    client = begun(bench, "Content-Length: 10", b"first")
    bench.proxy.drain()
    until(lambda: bench.proxy.plane.draining, "it is stopping")
    client.send(b"other")
    answer = client.answer()
    assert (answer.status, answer.header("Connection")) == (200, b"close")
    bench.proxy.close()
