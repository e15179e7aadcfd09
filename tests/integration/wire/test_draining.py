"""A proxy that ends finishes what is in flight, for so long."""

from __future__ import annotations

import threading

import pytest

from tests.integration.wire.conftest import STREAMED, Bench
from tests.integration.wire.counts import connections, echo_when
from tests.wire_tools.client import Client
from tests.wire_tools.proxy import until
from tests.wire_tools.stream import Broken
from tests.wire_tools.upstream import Peer


def test_drain_finishes_what_is_in_flight_and_closes_what_is_idle(bench: Bench) -> None:
    gate = threading.Event()
    upstream = bench.before(echo_when(gate), limits=STREAMED)
    idle, busy, uploading = bench.client(), bench.client(), bench.client()
    busy.get("/busy")
    uploading.request("POST", "/uploading", "Content-Length: 6")
    uploading.send(b"abc")
    until(lambda: len(upstream.heads) == 2 and connections(bench) == 3, "both are in flight")
    bench.proxy.drain()
    assert idle.ended()
    with pytest.raises(ConnectionError):
        Client(bench.proxy.port).ask("/")
    uploading.send(b"def")
    gate.set()
    for client in (busy, uploading):
        answer = client.answer()
        assert (answer.status, answer.header("Connection")) == (200, b"close")
        assert client.ended()
    bench.proxy.close()


def test_drain_ends_after_its_time_with_cut_answers_broken(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        peer.gone()

    bench.before(script)
    client = bench.client()
    client.send(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n")
    client.head()
    bench.proxy.drain(0.2)
    with pytest.raises(Broken):
        client.stream.rest()
