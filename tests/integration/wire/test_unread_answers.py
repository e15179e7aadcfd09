"""A client that asks and asks, and reads nothing, is told no more until it reads."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from strangler_proxy.wire.client import ClientConnection
from strangler_proxy.wire.hold import Bounds
from tests.integration.wire.conftest import Bench
from tests.integration.wire.counts import connections, echo_when
from tests.wire_tools.client import Client
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer, Script, Upstream

LARGE = b'"%b"' % (b"z" * 6_000_000)
"""An answer that no kernel's buffers take whole."""
ROUTES: list[dict[str, Any]] = [
    {"name": "composed", "match": "GET /composed", "timeout_s": 1,
     "compose": {"parts": {"all": {"get": "/large"}}}},
    {"name": "refused", "match": "GET /refused", "control": "monolith", "token": "blog"},
    {"name": "write", "match": "POST /items", "control": "monolith", "timeout_s": 1},
]  # fmt: skip


def answer(peer: Peer) -> None:
    while True:
        request = peer.request()
        peer.answer(
            LARGE if request.target == "/large" else b"{}", "Content-Type: application/json"
        )


def before(bench: Bench, monkeypatch: pytest.MonkeyPatch, script: Script = answer) -> Upstream:
    monkeypatch.setenv("JWT_SECRET", "s" * 32)
    return bench.before(script, routes=ROUTES, tokens={"blog": {"secret_env": "JWT_SECRET"}})


def requests(*targets: str) -> bytes:
    return b"".join(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target.encode() for target in targets)


def the_connection(bench: Bench) -> ClientConnection:
    """The one client's."""

    def find() -> list[ClientConnection]:
        return [c for c in bench.proxy.plane.connections if isinstance(c, ClientConnection)]

    until(lambda: bench.proxy.call(find), "it is there")
    return bench.proxy.call(find)[0]


def is_late(bench: Bench) -> None:
    """Have the client's transport say that it takes no more, and that it does again."""
    connection = the_connection(bench)
    bench.proxy.call(connection.pause_writing)
    bench.proxy.call(connection.resume_writing)


def behind(bench: Bench, *more: str) -> Client:
    """A client that has asked for a large answer and for more behind it, and reads none."""
    client = bench.client(receive_buffer=4096)
    client.send(requests("/composed", *more))
    connection = the_connection(bench)
    until(lambda: bench.proxy.call(lambda: connection.write_blocked), "the client is behind")
    return client


def test_nothing_more_is_begun_for_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = before(bench, monkeypatch)
    client = behind(bench, *["/refused"] * 10, *["/plain"] * 5, "/composed")
    for _ in range(10):  # the proxy's loop has had time for all the others
        assert bench.client().ask("/elsewhere").status == 200
    assert upstream.targets == ["/large"] + ["/elsewhere"] * 10
    assert not bench.proxy.plane.events["refused", "refused", "token"]
    assert client.answer().json() == {"all": "z" * 6_000_000}
    assert [client.answer().status for _ in range(15)] == [401] * 10 + [200] * 5
    assert len(client.answer().body) > len(LARGE)


def test_it_is_given_up_however_much_it_asks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before(bench, monkeypatch)
    client = behind(bench, "/refused")
    for _ in range(4):
        client.send(requests("/refused"))
        bench.proxy.pass_time(20)
    until(lambda: connections(bench) == 0, "the connection is given up")


def test_head_that_it_sends_meanwhile_is_read_on_once_it_reads(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before(bench, monkeypatch)
    client = behind(bench)
    client.send(b"GET /plain HTTP/1.1\r\n")
    connection = the_connection(bench)
    until(lambda: bench.proxy.call(lambda: connection._paused), "no more is read")
    client.answer()
    client.send(b"Host: a\r\n\r\n")
    assert client.answer().status == 200


def test_time_of_a_hold_is_not_that_of_the_held_route(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before(bench, monkeypatch)
    plane = bench.proxy.plane
    hold = bench.proxy.call(lambda: plane.begin_hold("h", ["write"], Bounds(60, 10, 10_000)))
    client = bench.client()
    client.request("POST", "/items", body=b"x")
    until(lambda: bench.proxy.call(lambda: len(hold._parked)) == 1, "it is held")
    is_late(bench)
    bench.proxy.pass_time(50)
    bench.proxy.call(hold.release)
    assert client.answer().status == 200


def test_time_of_a_composed_answer_is_that_of_its_parts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    upstream = before(bench, monkeypatch, echo_when(gate))
    client = bench.client()
    client.send(requests("/composed"))
    until(lambda: upstream.targets == ["/large"], "its part is asked for")
    is_late(bench)
    bench.proxy.pass_time(4)
    gate.set()
    assert client.answer().status == 200
