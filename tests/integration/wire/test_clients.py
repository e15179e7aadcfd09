"""Clients that hang up, stop reading or are slow take nothing with them."""

from __future__ import annotations

import contextlib

import pytest

from tests.integration.wire.conftest import Bench
from tests.integration.wire.counts import connections, in_use
from tests.wire_tools.proxy import until
from tests.wire_tools.stream import Broken
from tests.wire_tools.upstream import Peer


@pytest.mark.parametrize("sent", [1, 10, 30, 60, 90])
@pytest.mark.parametrize("how", ["reset", "close", "end"])
def test_client_may_hang_up_at_any_moment(bench: Bench, how: str, sent: int) -> None:
    upstream = bench.before()
    client = bench.client()
    whole = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\n" + b"x" * 50
    client.send(whole[:sent])
    getattr(client, how)()
    until(lambda: connections(bench) == 0, "the connection is given up")
    until(lambda: in_use(bench) == 0, "the upstream's as well")
    assert not upstream.requests
    assert bench.client().ask("/").status == 200


def test_client_that_hangs_up_during_the_answer_frees_the_upstream(bench: Bench) -> None:
    freed: list[bool] = []

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                peer.send(b"x" * 65536)
        freed.append(True)

    bench.before(script)
    client = bench.client()
    client.get("/")
    client.head()
    client.reset()
    until(lambda: freed, "the upstream stops")
    until(lambda: in_use(bench) == 0, "its connection is free")


def test_half_closed_client_still_gets_all_its_answers(bench: Bench) -> None:
    bench.before()
    client = bench.client()
    for number in range(5):
        client.request("POST", f"/{number}", body=b"x" * number)
    client.end()
    for number in range(5):
        assert client.answer().json()["target"] == f"/{number}"
    assert client.ended()


def test_client_that_stops_reading_is_given_up(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(2000):
                peer.send(b"x" * 50_000)

    bench.before(script)
    client = bench.client(receive_buffer=32_768)
    client.get("/")
    client.head()

    def blocked() -> bool:
        return any(c.write_blocked for c in bench.proxy.plane.connections)  # type: ignore[attr-defined]

    until(lambda: bench.proxy.call(blocked), "the client is behind")
    bench.proxy.pass_time(31)
    with pytest.raises(Broken):
        client.stream.exactly(100_000_000)
    until(lambda: in_use(bench) == 0, "the upstream is free")


def test_slow_client_gets_the_end_of_its_last_answer(bench: Bench) -> None:
    size = 3_000_000
    bench.before(lambda peer: peer.request() and peer.answer(b"x" * size))  # type: ignore[arg-type,func-returns-value]
    client = bench.client(receive_buffer=16_384)
    client.get("/", "Connection: close")
    answer = client.head()

    def lingering() -> bool:
        return any(c._closing for c in bench.proxy.plane.connections)  # type: ignore[attr-defined]

    got = b""
    while not bench.proxy.call(lingering):
        got += client.stream.exactly(4096)
    for _ in range(20):
        bench.proxy.pass_time(3)
        got += client.stream.exactly(512)
    assert answer.header("Content-Length") == b"%d" % size
    got += client.stream.exactly(size - len(got))
    assert client.ended()
