"""What an upstream leaves on a kept connection answers nobody else."""

from __future__ import annotations

import threading

import pytest

from tests.integration.wire.conftest import Bench
from tests.wire_tools.upstream import Peer


def test_kept_connection_that_is_known_to_be_closed_is_not_used_for_a_post(bench: Bench) -> None:
    closed = threading.Event()

    def script(peer: Peer) -> None:
        peer.echo(peer.request())
        peer.sock.close()
        closed.set()

    bench.before(script, {"reuse": "always"})
    client = bench.client()
    for number in range(30):
        client.request("POST", f"/{number}", body=b"x")
        assert client.answer().status == 200
        assert closed.wait(5)
        closed.clear()


def test_unsolicited_bytes_on_an_idle_connection_answer_nobody(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.echo(peer.request())
        if peer.number == 0:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            assert peer.gone()
            gone.set()

    gone = threading.Event()
    bench.before(script)
    client = bench.client()
    assert client.ask("/1").json()["connection"] == 0
    assert gone.wait(5)
    assert client.ask("/2").json()["connection"] == 1


def test_kept_connection_with_something_unread_is_not_lent(bench: Bench) -> None:
    speak, spoken = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.echo(peer.request())
        assert speak.wait(5)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        spoken.set()
        assert peer.gone()

    bench.before(script)
    assert bench.client().ask("/1").json()["connection"] == 0

    def lent_before_the_loop_has_read() -> object:
        speak.set()
        assert spoken.wait(5)
        pool = bench.proxy.plane.pools["monolith"]
        return pool.endpoints[0].lend(bench.proxy.plane.now)

    assert bench.proxy.call(lent_before_the_loop_has_read) is None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "surplus", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"x", b"\r\n", b"\0" * 100]
)
def test_surplus_after_an_answer_poisons_that_connection_only(
    bench: Bench, method: str, surplus: bytes
) -> None:
    def script(peer: Peer) -> None:
        while True:
            request = peer.request()
            length = 2 if method == "HEAD" else 0
            peer.send(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX: %b\r\n\r\n%b"
                % (length, request.target.encode(), surplus)
            )

    bench.before(script)
    client = bench.client()
    head = f"{method} /%d HTTP/1.1\r\nHost: h\r\n\r\n"
    client.send((head % 1 + head % 2 + head % 3).encode())
    for number in (1, 2, 3):
        assert client.answer(method).header("X") == b"/%d" % number


def test_body_longer_than_its_length_is_cut_there(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef")

    bench.before(script)
    client = bench.client()
    for _ in range(3):
        assert client.ask("/").body == b"abc"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_bodiless_answer_with_a_length_does_not_swallow_the_next(
    bench: Bench, status: bytes
) -> None:
    def script(peer: Peer) -> None:
        while True:
            if peer.request().target == "/bodiless":
                peer.send(b"HTTP/1.1 %b\r\nContent-Length: 5\r\nETag: x\r\n\r\n" % status)
            else:
                peer.answer(b"next")

    bench.before(script)
    client = bench.client()
    client.get("/bodiless")
    client.get("/next")
    answer = client.answer()
    assert answer.header("Content-Length") == (None if answer.status == 204 else b"5")
    assert client.answer().body == b"next"


def test_trailers_of_one_answer_do_not_show_up_in_the_next(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        while True:
            if peer.request().target == "/trailers":
                peer.send(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"1\r\na\r\n0\r\nX-Sum: 1\r\nSet-Cookie: stolen\r\n\r\n"
                )
            else:
                peer.answer(b"next")

    upstream = bench.before(script)
    for version in ("1.0", "1.1"):
        client = bench.client()
        client.send(f"GET /trailers HTTP/{version}\r\nHost: h\r\n\r\n".encode())
        answer = client.answer()
        assert answer.body == b"a"
        assert bench.client().ask("/next").headers == [(b"Content-Length", b"4")]
    assert upstream.connections == 1
