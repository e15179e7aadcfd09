"""A WebSocket passes as bytes both ways; nothing else is upgraded to."""

from __future__ import annotations

import threading

import pytest

from tests.integration.wire.conftest import Bench
from tests.wire_tools.client import Client
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer

UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def mirror(peer: Peer) -> None:
    """Switch protocols, then send back whatever comes, to the end."""
    request = peer.request()
    assert request.header("Connection") == b"Upgrade"
    assert request.header("Upgrade") == b"websocket"
    assert request.header("Sec-WebSocket-Key") == b"x"
    peer.send(SWITCH)
    peer.send(bytes(peer.stream.buffer))
    while data := peer.sock.recv(65536):
        peer.send(data)


def switched(client: Client) -> None:
    answer = client.head()
    assert answer.status == 101
    assert answer.header("Upgrade") == b"websocket"
    assert answer.header("Connection") == b"Upgrade"


def test_bytes_pass_both_ways_after_the_switch(bench: Bench) -> None:
    bench.before(mirror)
    client = bench.client()
    client.get("/ws", *UPGRADE)
    switched(client)
    for frame in (b"\x81\x05hello", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100_000):
        client.send(frame)
        assert client.stream.exactly(len(frame)) == frame
    client.end()
    assert client.ended()
    until(lambda: not bench.proxy.call(bench.proxy.plane.connections.copy), "all is closed")
    assert bench.proxy.call(lambda: bench.proxy.plane.pools["monolith"].in_use) == 0


@pytest.mark.parametrize("together", [True, False])
def test_frames_sent_before_the_switch_are_not_lost_or_read_as_requests(
    bench: Bench, together: bool
) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        until(lambda: sent, "the frames are sent")
        peer.send(SWITCH)
        peer.send(peer.stream.exactly(len(frames)))

    frames = b"\x81\x05helloGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    sent: list[bool] = []
    upstream = bench.before(script)
    client = bench.client()
    if together:
        head = "GET /ws HTTP/1.1\r\nHost: h\r\n" + "\r\n".join(UPGRADE) + "\r\n\r\n"
        client.send(head.encode() + frames)
    else:
        client.get("/ws", *UPGRADE)
        until(lambda: upstream.requests, "the request is there")
        for at in range(0, len(frames), 5):
            client.send(frames[at : at + 5])
    sent.append(True)
    switched(client)
    assert client.stream.exactly(len(frames)) == frames
    assert upstream.targets == ["/ws"]


@pytest.mark.parametrize("together", [True, False])
def test_upstream_that_stays_with_http_answers_and_the_next_request_is_read(
    bench: Bench, together: bool
) -> None:
    upstream = bench.before()
    client = bench.client()
    head = "GET /ws HTTP/1.1\r\nHost: h\r\n" + "\r\n".join(UPGRADE) + "\r\n\r\n"
    rest = b"POST /next HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody" * 2
    client.send(head.encode() + (rest if together else b""))
    if not together:
        for at in range(0, len(rest), 9):
            client.send(rest[at : at + 9])
    assert client.answer().json()["target"] == "/ws"
    for _ in range(2):
        assert client.answer().json()["body"] == "body"
    assert upstream.targets == ["/ws", "/next", "/next"]


@pytest.mark.parametrize(
    "lines",
    [
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAA"),
        ("Connection: Upgrade", "Upgrade: websocket, h2c"),
        ("Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c"),
        ("Connection: Upgrade", "Upgrade: TLS/1.0"),
        ("Upgrade: websocket",),
        ("Connection: Upgrade",),
    ],
)
def test_other_upgrades_pass_as_plain_requests(bench: Bench, lines: tuple[str, ...]) -> None:
    upstream = bench.before()
    client = bench.client()
    client.get("/", *lines)
    client.get("/next")
    assert client.answer().json()["target"] == "/"
    assert client.answer().json()["target"] == "/next"
    names = {name.lower() for name, _ in upstream.requests[0].headers}
    assert not names & {b"upgrade", b"connection", b"http2-settings"}


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize(
    ("framing", "body"),
    [("Transfer-Encoding: chunked", b"4\r\nbody\r\n0\r\n\r\n"), ("Content-Length: 4", b"body")],
)
def test_request_with_a_body_is_no_upgrade_and_its_body_is_no_request(
    bench: Bench, framing: str, body: bytes, step: int | None, method: str, protocol: str
) -> None:
    upstream = bench.before()
    client = bench.client()
    lines = f"Host: h\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n{framing}\r\n\r\n"
    asked = f"{method} / HTTP/1.1\r\n{lines}".encode() + body
    asked += asked + b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n"
    for at in range(0, len(asked), step or len(asked)):
        client.send(asked[at : at + (step or len(asked))])
    assert client.answer().json()["body"] == "body"
    assert client.answer().json()["body"] == "body"
    assert client.answer().json()["target"] == "/next"
    assert upstream.requests[0].header("Upgrade") is None


def test_each_side_may_end_first_and_both_ends_close_the_tunnel(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(SWITCH + b"bye")
        peer.sock.shutdown(1)
        assert peer.stream.rest() == b"late"

    bench.before(script)
    client = bench.client()
    client.get("/ws", *UPGRADE)
    switched(client)
    assert client.stream.rest() == b"bye"
    client.send(b"late")
    client.end()
    until(lambda: not bench.proxy.call(bench.proxy.plane.connections.copy), "all is closed")


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_either_side_lost_ends_the_other(bench: Bench, who: str) -> None:
    lost: list[bool] = []

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(SWITCH)
        if who == "upstream":
            peer.stream.exactly(1)
            peer.reset()
        else:
            lost.append(peer.gone())

    bench.before(script)
    client = bench.client()
    client.get("/ws", *UPGRADE)
    switched(client)
    if who == "client":
        client.reset()
        until(lambda: lost, "the upstream is told")
    else:
        client.send(b"x")
        assert client.ended()
    until(lambda: not bench.proxy.call(bench.proxy.plane.connections.copy), "all is closed")


def test_slow_reader_holds_the_other_side_of_a_tunnel_back(bench: Bench) -> None:
    bench.before(mirror)
    client = bench.client(timeout_s=20)
    client.get("/ws", *UPGRADE)
    switched(client)
    data = bytes(range(256)) * 80_000
    sender = threading.Thread(target=client.send, args=(data,))
    sender.start()
    until(
        lambda: bench.proxy.call(
            lambda: any(
                c.write_blocked
                for c in bench.proxy.plane.connections  # type: ignore[attr-defined]
            )
        ),
        "the proxy is held back",
    )
    assert client.stream.exactly(len(data)) == data
    sender.join()


def test_silent_tunnel_is_closed_after_its_time(bench: Bench) -> None:
    bench.before(mirror)
    client = bench.client()
    client.get("/ws", *UPGRADE)
    switched(client)
    bench.proxy.pass_time(3500)
    client.send(b"x")
    assert client.stream.exactly(1) == b"x"
    bench.proxy.pass_time(3500)
    client.send(b"y")
    assert client.stream.exactly(1) == b"y"
    bench.proxy.pass_time(3700)
    assert client.ended()


def test_tunnel_goes_on_while_the_proxy_drains(bench: Bench) -> None:
    bench.before(mirror)
    client, idle = bench.client(), bench.client()
    client.get("/ws", *UPGRADE)
    switched(client)
    until(lambda: len(bench.proxy.call(bench.proxy.plane.connections.copy)) == 2, "both are there")
    bench.proxy.drain(10)
    assert idle.ended()
    client.send(b"still here")
    assert client.stream.exactly(10) == b"still here"
    client.end()
    assert client.ended()
