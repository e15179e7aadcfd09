"""Requests that are held go on in their order, once, to whoever serves then; bounds end a hold."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from strangler_proxy.wire.hold import Bounds, Hold
from strangler_proxy.wire.plane import HoldRefused
from tests.integration.wire.conftest import Bench
from tests.wire_tools.client import Client
from tests.wire_tools.proxy import config, until
from tests.wire_tools.upstream import Peer, Upstream

WIDE = Bounds(seconds=20, most_requests=1000, most_bytes=2**20)
ROUTES = [
    {"name": "write", "match": "POST /items", "control": "old", "candidate": "new"},
    {"name": "read", "match": "GET /items", "control": "old", "candidate": "new"},
]


class Two:
    """An old and a new upstream, each of which says who it is."""

    def __init__(self, bench: Bench) -> None:
        self.let_go = threading.Event()
        self.let_go.set()
        self.old = bench.upstream(self._script("old"))
        self.new = bench.upstream(self._script("new"))
        self.bench = bench
        bench.serve(**self.values())

    def values(self, serve: str = "control") -> dict[str, Any]:
        routes = [{**route, "serve": serve} for route in ROUTES]
        return {"upstreams": {"old": self.old.url, "new": self.new.url}, "routes": routes}

    def _script(self, name: str) -> Any:
        def script(peer: Peer) -> None:
            while True:
                request = peer.request()
                assert self.let_go.wait(10)
                peer.answer(name.encode() + b" " + request.body)

        return script

    def hold(self, bounds: Bounds = WIDE, routes: tuple[str, ...] = ("write",)) -> Hold:
        plane = self.bench.proxy.plane
        return self.bench.proxy.call(lambda: plane.begin_hold("h", routes, bounds))

    def flip(self) -> None:
        self.bench.proxy.install(config(**self.values("candidate")))

    def release(self, hold: Hold) -> dict[str, Any]:
        return self.bench.proxy.call(hold.release)

    def drained(self, hold: Hold, within_s: float) -> bool:
        return self.bench.proxy.wait(hold.drained(within_s))

    def parked(self, number: int) -> None:
        def held() -> bool:
            plane = self.bench.proxy.plane
            return plane.hold is not None and len(plane.hold._parked) == number

        until(lambda: self.bench.proxy.call(held), f"{number} requests are held")


@pytest.fixture
def two(bench: Bench) -> Two:
    return Two(bench)


def post(client: Client, target: str, body: bytes) -> bytes:
    client.request("POST", target, body=body)
    return client.answer().body


def ids(upstream: Upstream) -> list[bytes]:
    return [request.body for request in upstream.requests]


def test_held_requests_go_to_the_side_that_serves_when_they_are_released_in_their_order(
    two: Two,
) -> None:
    hold = two.hold()
    assert two.drained(hold, 1)
    clients = [two.bench.client() for _ in range(5)]
    for number, client in enumerate(clients):
        client.request("POST", "/items", body=b"%d" % number)
        two.parked(number + 1)
    assert two.old.connections == two.new.connections == 0
    two.flip()
    told = two.release(hold)
    assert [client.answer().body for client in clients] == [b"new %d" % n for n in range(5)]
    assert (ids(two.old), sorted(ids(two.new))) == ([], [b"0", b"1", b"2", b"3", b"4"])
    assert (told["held"], told["broken"]) == (5, None)
    assert post(clients[0], "/items", b"x") == b"new x"  # nothing is held any more


def test_other_routes_and_methods_go_on_while_one_is_held(two: Two) -> None:
    two.hold()
    waiting = two.bench.client()
    waiting.request("POST", "/items", body=b"w")
    two.parked(1)
    assert two.bench.client().ask("/items").body == b"old "
    assert post(two.bench.client(), "/elsewhere", b"e") == b"old e"


def test_drained_says_when_what_was_sent_before_is_answered(two: Two) -> None:
    two.let_go.clear()
    before = two.bench.client()
    before.request("POST", "/items", body=b"b")
    until(lambda: two.old.requests, "it has been sent")
    hold = two.hold()
    assert not two.drained(hold, 0.05)
    two.let_go.set()
    assert before.answer().body == b"old b"
    assert two.drained(hold, 5)
    two.release(hold)


def test_client_that_leaves_while_it_is_held_is_not_sent_on(two: Two) -> None:
    hold = two.hold()
    leaving, staying = two.bench.client(), two.bench.client()
    leaving.request("POST", "/items", body=b"l")
    two.parked(1)
    staying.request("POST", "/items", body=b"s")
    two.parked(2)
    leaving.close()
    until(lambda: len(two.bench.proxy.plane.connections) == 1, "the proxy has seen it leave")
    assert two.release(hold)["held"] == 1
    assert staying.answer().body == b"old s"
    assert ids(two.old) == [b"s"]


def test_hold_that_is_not_ended_in_time_breaks_and_lets_go(two: Two) -> None:
    hold = two.hold(Bounds(0.15, 1000, 2**20))
    client = two.bench.client()
    client.request("POST", "/items", body=b"t")
    assert client.answer().body == b"old t"
    assert hold.broken is not None
    assert "0.15 s" in hold.broken
    assert two.bench.proxy.plane.hold is None


def test_too_many_requests_break_the_hold_and_lose_none(two: Two) -> None:
    hold = two.hold(Bounds(20, 3, 2**20))
    clients = [two.bench.client() for _ in range(4)]
    for number, client in enumerate(clients):
        client.request("POST", "/items", body=b"%d" % number)
        if number < 3:
            two.parked(number + 1)
    assert sorted(client.answer().body for client in clients) == [b"old %d" % n for n in range(4)]
    assert hold.broken == "more than 3 requests came"


def test_those_who_left_do_not_count_against_the_bound(two: Two) -> None:
    hold = two.hold(Bounds(20, 2, 2**20))
    for _ in range(2):
        client = two.bench.client()
        client.request("POST", "/items", body=b"x")
        until(lambda: two.bench.proxy.plane.connections, "it is there")
        until(lambda: two.bench.proxy.call(lambda: hold._parked and hold._parked[-1]), "held")
        client.close()
        until(lambda: not two.bench.proxy.plane.connections, "it has left")
    staying = two.bench.client()
    staying.request("POST", "/items", body=b"s")
    until(lambda: two.bench.proxy.call(lambda: len(hold._parked) == 1), "only this one is held")
    assert hold.broken is None
    two.release(hold)
    assert staying.answer().body == b"old s"


def test_body_is_read_no_further_than_what_is_gathered(two: Two) -> None:
    hold = two.hold(Bounds(20, 10, 2**30))
    client = two.bench.client()
    body = bytes(range(256)) * 32_768  # 8 MiB
    client.request("POST", "/items", f"Content-Length: {len(body)}")
    sender = threading.Thread(target=lambda: client.send(body))
    sender.start()
    two.parked(1)
    held = two.bench.proxy.call(lambda: hold._parked[0].pending_bytes)
    assert 2**18 <= held < 2**20  # and what else came in the last read
    two.flip()
    two.release(hold)
    sender.join(10)
    assert client.answer().body == b"new " + body


def test_large_bodies_break_a_hold_that_has_no_room_for_them(two: Two) -> None:
    hold = two.hold(Bounds(20, 10, 100))
    client = two.bench.client()
    client.request("POST", "/items", body=b"x" * 101)
    assert client.answer().body == b"old " + b"x" * 101
    assert hold.broken == "more than 100 bytes came"


def test_heads_count_as_bodies_do(two: Two) -> None:
    hold = two.hold(Bounds(20, 10, 10_000))
    waiting, breaking = two.bench.client(), two.bench.client()
    waiting.request("POST", "/items", "X-A: " + "a" * 6_000, body=b"w")
    two.parked(1)
    breaking.request("POST", "/items", "X-A: " + "a" * 6_000, body=b"b")
    assert [waiting.answer().body, breaking.answer().body] == [b"old w", b"old b"]
    assert hold.broken == "more than 10000 bytes came"


@pytest.mark.parametrize(
    ("bounds", "body", "words"),
    [
        (Bounds(20, 1, 2**20), b"x", b"more than 1 requests came"),
        (Bounds(20, 10, 100), b"x" * 101, b"more than 100 bytes came"),
    ],
)
def test_who_is_too_many_once_all_is_held_is_answered_503_and_the_others_wait_on(
    two: Two, bounds: Bounds, body: bytes, words: bytes
) -> None:
    hold = two.hold(bounds)
    assert two.drained(hold, 5)
    waiting, refused = two.bench.client(), two.bench.client()
    waiting.request("POST", "/items", body=b"w")
    two.parked(1)
    refused.request("POST", "/items", body=body)
    answer = refused.answer()
    assert (answer.status, answer.header("retry-after")) == (503, b"20")
    assert words in answer.body
    assert hold.broken is None
    two.flip()
    two.release(hold)
    assert waiting.answer().body == b"new w"
    assert (ids(two.old), ids(two.new)) == ([], [b"w"])


def test_hold_that_is_given_to_a_successor_is_promised_from_the_beginning(two: Two) -> None:
    plane, bounds = two.bench.proxy.plane, Bounds(20, 1, 2**20)
    hold = two.bench.proxy.call(lambda: plane.begin_hold("h", ["write"], bounds, promised=True))
    waiting, refused = two.bench.client(), two.bench.client()
    waiting.request("POST", "/items", body=b"w")
    two.parked(1)
    refused.request("POST", "/items", body=b"r")
    assert refused.answer().status == 503
    two.release(hold)
    assert waiting.answer().body == b"old w"


def test_pipelined_requests_are_held_and_answered_in_order(two: Two) -> None:
    hold = two.hold()
    client = two.bench.client()
    for number in range(3):
        client.request("POST", "/items", body=b"%d" % number)
    two.parked(1)  # the others wait for its answer
    two.flip()
    two.release(hold)
    assert [client.answer().body for _ in range(3)] == [b"new 0", b"new 1", b"new 2"]


def test_second_hold_is_refused_while_one_is_in_force(two: Two) -> None:
    hold = two.hold()
    with pytest.raises(HoldRefused, match="in force"):
        two.hold()
    two.release(hold)
    two.release(two.hold())


def test_what_no_route_names_can_be_held_too(two: Two) -> None:
    hold = two.hold(routes=("(default)",))
    client = two.bench.client()
    client.request("POST", "/elsewhere", body=b"e")
    two.parked(1)
    two.release(hold)
    assert client.answer().body == b"old e"


def test_hold_does_not_slow_its_routes_down_once_it_is_over(two: Two) -> None:
    two.release(two.hold())
    plane = two.bench.proxy.plane
    found = two.bench.proxy.call(lambda: plane._find(b"POST", b"/items"))
    assert type(found).__name__ == "Lane"


def test_held_request_that_cannot_be_sent_on_takes_none_with_it(two: Two) -> None:
    hold = two.hold()
    clients = [two.bench.client() for _ in range(3)]
    for number, client in enumerate(clients):
        client.request("POST", "/items", body=b"%d" % number)
        two.parked(number + 1)
    hold._parked[0].extra = None  # type: ignore[assignment]  # for want of anything likelier
    assert two.release(hold)["held"] == 3
    assert [client.answer().status for client in clients] == [500, 200, 200]
