"""Bodies of any size stream both ways at the pace of the slower side; interim answers pass."""

from __future__ import annotations

import hashlib
import threading

import pytest

from tests.integration.wire.conftest import STREAMED, Bench
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer

MIB = 2**20
SIZE = 32 * MIB
PIECE = bytes(range(256)) * 256


def send_body(send: object, size: int, *, chunked: bool) -> str:
    """Send a body piece by piece; its digest."""
    digest = hashlib.sha256()
    for _ in range(size // len(PIECE)):
        digest.update(PIECE)
        send(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE)  # type: ignore[operator]
    if chunked:
        send(b"0\r\n\r\n")  # type: ignore[operator]
    return digest.hexdigest()


@pytest.mark.parametrize("chunked", [False, True])
def test_large_upload_arrives_byte_for_byte(bench: Bench, chunked: bool) -> None:
    def script(peer: Peer) -> None:
        request = peer.request()
        peer.answer(hashlib.sha256(request.body).hexdigest().encode())

    bench.before(script)
    client = bench.client(timeout_s=20)
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {SIZE}"
    client.request("POST", "/", framing)
    digest = send_body(client.send, SIZE, chunked=chunked)
    assert client.answer().body.decode() == digest


@pytest.mark.parametrize("framing", ["counted", "chunked", "until close"])
def test_large_answer_arrives_byte_for_byte(bench: Bench, framing: str) -> None:
    lines = {
        "counted": f"Content-Length: {SIZE}\r\n",
        "chunked": "Transfer-Encoding: chunked\r\n",
        "until close": "",
    }

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(f"HTTP/1.1 200 OK\r\n{lines[framing]}\r\n".encode())
        digests.append(send_body(peer.send, SIZE, chunked=framing == "chunked"))

    digests: list[str] = []
    bench.before(script)
    answer = bench.client(timeout_s=20).ask("/")
    assert len(answer.body) == SIZE
    assert [hashlib.sha256(answer.body).hexdigest()] == digests


def test_client_that_does_not_read_holds_the_upstream_back(bench: Bench) -> None:
    sent = [0]

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(PIECE) * 4096}\r\n\r\n".encode())
        peer.sock.settimeout(1)
        while sent[0] < 4096:
            peer.send(PIECE)
            sent[0] += 1

    bench.before(script)
    client = bench.client(receive_buffer=32_768)
    client.get("/")
    client.head()
    until(lambda: bench.proxy.call(paused(bench)), "the proxy stops reading")
    stood = sent[0]
    until(lambda: sent[0] - stood < 200 and sent[0] < 1000, "the upstream stands")
    client.stream.exactly(20 * len(PIECE))


def paused(bench: Bench) -> object:
    connections = bench.proxy.plane.connections

    def ask() -> bool:
        return any(item.write_blocked for item in connections)  # type: ignore[attr-defined]

    return ask


def test_upstream_that_does_not_read_holds_the_client_back(bench: Bench) -> None:
    go = threading.Event()

    def script(peer: Peer) -> None:
        head = peer.head()
        assert go.wait(10)
        peer.body_of(head)
        peer.answer(hashlib.sha256(upstream.requests[-1].body).hexdigest().encode())

    upstream = bench.before(script)
    client = bench.client(timeout_s=20)
    client.request("POST", "/", f"Content-Length: {2 * SIZE}")
    digests: list[str] = []
    sender = threading.Thread(
        target=lambda: digests.append(send_body(client.send, 2 * SIZE, chunked=False))
    )
    sender.start()
    until(
        lambda: bench.proxy.call(
            lambda: any(c._paused for c in bench.proxy.plane.connections)  # type: ignore[attr-defined]
        ),
        "the proxy stops reading",
    )
    assert sender.is_alive()
    go.set()
    answer = client.answer()
    sender.join()
    assert [answer.body.decode()] == digests


def test_parts_of_an_answer_reach_the_client_as_they_come(bench: Bench) -> None:
    heard = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        assert heard.wait(5)
        peer.send(b"6\r\nsecond\r\n0\r\n\r\n")

    bench.before(script)
    client = bench.client()
    client.get("/events")
    assert client.head().header("Transfer-Encoding") == b"chunked"
    assert client.stream.exactly(10) == b"5\r\nfirst\r\n"
    heard.set()
    assert client.stream.chunked() == (b"second", [])


def test_parts_of_a_request_reach_the_upstream_as_they_come(bench: Bench) -> None:
    parts: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.head()
        parts.append(peer.stream.exactly(5))
        peer.stream.exactly(6)
        peer.answer(b"done")

    bench.before(script, limits=STREAMED)
    client = bench.client()
    client.request("POST", "/", "Content-Length: 11")
    client.send(b"first")
    until(lambda: parts == [b"first"], "the first part is there")
    client.send(b"second")
    assert client.answer().body == b"done"


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_client_that_expects_100_sends_its_body_after_the_upstreams_word(
    bench: Bench, method: str
) -> None:
    def script(peer: Peer) -> None:
        request = peer.head()
        assert request.header("Expect") == b"100-continue"
        assert not peer.stream.buffer
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.body_of(request)
        peer.echo(request)

    bench.before(script)
    client = bench.client()
    client.request(method, "/", "Expect: 100-continue", "Content-Length: 4")
    assert client.head().status == 100
    client.send(b"body")
    assert client.answer().json()["body"] == "body"


def test_refusal_instead_of_100_reaches_the_client(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.head()
        peer.answer(b"no", status="417 Expectation Failed")
        peer.gone()

    bench.before(script)
    client = bench.client()
    client.request("POST", "/", "Expect: 100-continue", "Content-Length: 4")
    answer = client.answer()
    assert (answer.status, answer.header("Connection")) == (417, b"close")
    assert client.ended()


def test_unknown_expectation_is_refused(bench: Bench) -> None:
    upstream = bench.before()
    client = bench.client()
    client.request("POST", "/", "Expect: the-moon", body=b"x")
    assert client.answer().status == 417
    assert not upstream.heads


@pytest.mark.parametrize("step", [None, 1])
def test_interim_answers_pass_in_order_with_their_headers(bench: Bench, step: int | None) -> None:
    said = (
        b"HTTP/1.1 102 Processing\r\n\r\n"
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n"
        b"HTTP/1.1 104 New\r\nX: y\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"
    )

    def script(peer: Peer) -> None:
        while True:
            peer.request()
            for at in range(0, len(said), step or len(said)):
                peer.send(said[at : at + (step or len(said))])

    bench.before(script)
    client = bench.client()
    for _ in range(2):
        answer = client.ask("/")
        assert [hint.status for hint in answer.interim] == [102, 103, 104]
        assert answer.interim[1].all("Link") == [b"</a>", b"</b>"]
        assert answer.interim[2].headers == [(b"X", b"y")]
        assert answer.body == b"done"
    old = bench.client()
    old.send(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n")
    answer = old.answer()
    assert (answer.interim, answer.body) == ([], b"done")


@pytest.mark.parametrize(
    "framing", ["Content-Length: 1000000", "Transfer-Encoding: chunked", "X-None: 1"]
)
def test_answer_to_head_has_the_headers_and_no_body(bench: Bench, framing: str) -> None:
    def script(peer: Peer) -> None:
        while True:
            if peer.request().method == "HEAD":
                peer.send(f"HTTP/1.1 200 OK\r\n{framing}\r\nETag: x\r\n\r\n".encode())
                if framing.startswith("X"):
                    return
            else:
                peer.answer(b"next")

    bench.before(script)
    client = bench.client()
    client.request("HEAD", "/")
    client.get("/next")
    answer = client.answer("HEAD")
    assert answer.header("ETag") == b"x"
    expected = b"1000000" if framing.startswith("Content") else None
    assert answer.header("Content-Length") == expected
    assert client.answer().body == b"next"


def test_pipelined_requests_are_answered_in_order(bench: Bench) -> None:
    bench.before()
    client = bench.client()
    requests = b"".join(
        b"POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (n, n, b"x" * n)
        for n in range(100)
    )
    threading.Thread(target=client.send, args=(requests,)).start()
    for number in range(100):
        said = client.answer().json()
        assert (said["target"], len(said["body"])) == (f"/{number}", number)


def test_more_pipelined_requests_than_are_kept_are_still_all_answered(bench: Bench) -> None:
    bench.before()
    client = bench.client()
    requests = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 200
    threading.Thread(target=client.send, args=(requests,)).start()
    for _ in range(200):
        assert client.answer().status == 200


def test_bytes_after_a_request_that_closes_are_ignored(bench: Bench) -> None:
    upstream = bench.before()
    client = bench.client()
    client.send(
        b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        b"GET /ignored HTTP/1.1\r\nHost: h\r\n\r\ngarbage"
    )
    answer = client.answer()
    assert answer.json()["target"] == "/last"
    assert answer.header("Connection") == b"close"
    assert client.ended()
    assert upstream.targets == ["/last"]
