"""A proxy that can open nothing more blames nobody for it, and ends what it has to end."""

from __future__ import annotations

from strangler_proxy.wire.hold import Bounds
from tests.integration.wire.conftest import STREAMED, Bench
from tests.integration.wire.counts import connections, in_use
from tests.wire_tools.descriptors import none_left
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer


def test_connection_that_cannot_be_opened_for_want_of_descriptors_is_no_failure_of_the_upstream(
    bench: Bench,
) -> None:
    bench.before(settings={"breaker": {"failures": 1, "open_s": 60}})
    client = bench.client()
    client.get("/x")
    client.answer()
    bench.proxy.pass_time(2)  # the kept connection is closed
    with none_left():
        answer = client.ask("/x")
    assert (answer.status, answer.header("Retry-After")) == (503, b"1")
    assert b"the proxy's machine" in answer.body
    assert client.ask("/x").status == 200
    assert in_use(bench) == 0


def test_client_that_does_not_read_is_given_up_all_the_same(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(b"z" * 20_000_000)

    bench.before(script)
    client = bench.client(receive_buffer=4096)
    client.get("/x")

    def blocked() -> bool:
        return any(c.write_blocked for c in bench.proxy.plane.connections)  # type: ignore[attr-defined]

    until(lambda: bench.proxy.call(blocked), "the client is behind")
    with none_left():
        bench.proxy.pass_time(31)
        until(lambda: connections(bench) == 0, "it is given up")
    assert in_use(bench) == 0


def test_held_request_whose_body_is_still_coming_goes_on_and_so_do_those_behind_it(
    bench: Bench,
) -> None:
    routes = [{"name": "write", "match": "/items", "control": "monolith"}]
    bench.before(settings={"idle_s": 60}, routes=routes, limits=STREAMED)
    kept = [bench.client() for _ in range(3)]
    for client in kept:
        client.get("/warm")
    assert [client.answer().status for client in kept] == [200] * 3
    plane = bench.proxy.plane
    hold = bench.proxy.call(lambda: plane.begin_hold("h", ["write"], Bounds(30, 100, 10_000)))
    clients = [bench.client() for _ in range(3)]
    clients[0].send(b"PUT /items HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx")
    for client in clients[1:]:
        client.request("GET", "/items")
    until(lambda: bench.proxy.call(lambda: len(hold._parked)) == 3, "they are held")
    with none_left():
        bench.proxy.call(hold.release)
        assert [client.answer().status for client in clients[1:]] == [200] * 2
    clients[0].send(b"y")
    assert clients[0].answer().status == 200
