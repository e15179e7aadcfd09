"""Several addresses of one upstream: the least busy is asked, one that fails is left out for a
while, and a request that nobody has got goes to another."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.wire.conftest import Bench
from tests.wire_tools.client import Client
from tests.wire_tools.ports import free_port
from tests.wire_tools.proxy import config, until
from tests.wire_tools.upstream import Peer, Upstream, echo


class Held:
    """Upstreams that answer `/hold…` only when told to."""

    def __init__(self, bench: Bench, number: int, **settings: Any) -> None:
        self.let_go = threading.Event()
        self.upstreams = [bench.upstream(self._script(name)) for name in "abcdefgh"[:number]]
        self.urls = [upstream.url for upstream in self.upstreams]
        bench.serve(upstreams={"monolith": {"urls": self.urls, **settings}})

    def _script(self, name: str) -> Any:
        def script(peer: Peer) -> None:
            while True:
                request = peer.request()
                if request.target.startswith("/hold"):
                    assert self.let_go.wait(10)
                peer.answer(name.encode(), f"X-Connection: {peer.number}")

        return script

    def asked(self) -> list[int]:
        """How many requests that are held up each has had."""
        return [upstream.targets.count("/hold") for upstream in self.upstreams]


@pytest.fixture
def hold(bench: Bench) -> Iterator[Any]:
    made: list[Held] = []

    def make(number: int = 3, **settings: Any) -> Held:
        made.append(Held(bench, number, **settings))
        return made[-1]

    yield make
    for held in made:
        held.let_go.set()


def who(client: Client, target: str = "/") -> str:
    answer = client.ask(target)
    assert answer.status == 200
    return answer.body.decode()


def holding(bench: Bench, held: Held, number: int) -> list[Client]:
    clients = [bench.client() for _ in range(number)]
    for done, client in enumerate(clients, 1):
        client.get("/hold")
        until(lambda: sum(held.asked()) >= done, "it is at an upstream")  # noqa: B023
    return clients


def test_equals_take_turns(bench: Bench, hold: Any) -> None:
    hold(3)
    client = bench.client()
    assert Counter(who(client) for _ in range(30)) == {"a": 10, "b": 10, "c": 10}


def test_address_with_the_fewest_requests_outstanding_is_asked(bench: Bench, hold: Any) -> None:
    held = hold(3)
    busy = holding(bench, held, 2)
    [free] = [name for name, asked in zip("abc", held.asked(), strict=True) if not asked]
    client = bench.client()
    assert {who(client) for _ in range(10)} == {free}
    held.let_go.set()
    for waiting in busy:
        assert waiting.answer().status == 200
    assert {who(client) for _ in range(10)} == {"a", "b", "c"}


def test_requests_held_up_are_spread_evenly(bench: Bench, hold: Any) -> None:
    held = hold(4)
    holding(bench, held, 12)
    assert held.asked() == [3, 3, 3, 3]


def test_address_that_is_taken_away_finishes_what_it_has_and_gets_nothing_more(
    bench: Bench, hold: Any
) -> None:
    held = hold(2)
    client = bench.client()
    assert {who(client), who(client)} == {"a", "b"}  # both have a kept connection now
    waiting = holding(bench, held, 2)
    bench.proxy.place("monolith", held.urls[1])
    assert {who(client) for _ in range(6)} == {"b"}
    held.let_go.set()
    assert {one.answer().body for one in waiting} == {b"a", b"b"}
    assert {who(client) for _ in range(6)} == {"b"}
    before = held.upstreams[0].connections
    bench.proxy.place("monolith", *held.urls)
    assert {who(client) for _ in range(6)} == {"a", "b"}
    assert held.upstreams[0].connections > before, "a connection of before was lent again"
    assert bench.proxy.in_use() == 0


def test_placing_the_same_addresses_keeps_their_connections(bench: Bench, hold: Any) -> None:
    held = hold(2)
    client = bench.client()
    for _ in range(4):
        who(client)
        bench.proxy.place("monolith", *reversed(held.urls))
    assert [upstream.connections for upstream in held.upstreams] == [1, 1]


def test_address_that_is_placed_twice_is_one_address(bench: Bench, hold: Any) -> None:
    held = hold(2)
    bench.proxy.place("monolith", *held.urls, *held.urls, held.urls[0])
    client = bench.client()
    assert Counter(who(client) for _ in range(10)) == {"a": 5, "b": 5}
    bench.proxy.place("monolith", held.urls[0])
    figures = bench.proxy.call(bench.proxy.plane.pools["monolith"].figures)
    assert (len(figures["addresses"]), figures["idle"]) == (1, 1)
    assert {who(client) for _ in range(4)} == {"a"}


def test_address_that_drains_gets_nothing_new_and_finishes(bench: Bench, hold: Any) -> None:
    held = hold(2)
    waiting = holding(bench, held, 2)
    bench.proxy.place_members("monolith", {held.urls[0]: {"draining": True}, held.urls[1]: {}})
    client = bench.client()
    assert {who(client) for _ in range(6)} == {"b"}
    held.let_go.set()
    assert {one.answer().body for one in waiting} == {b"a", b"b"}


def test_unwell_address_gets_nothing_and_if_none_is_well_all_are_asked(
    bench: Bench, hold: Any
) -> None:
    held = hold(3)
    client = bench.client()
    a, b, c = held.urls
    bench.proxy.place_members("monolith", {a: {"well": False}, b: {}, c: {"well": False}})
    assert {who(client) for _ in range(6)} == {"b"}
    bench.proxy.place_members("monolith", {url: {"well": False} for url in held.urls})
    assert {who(client) for _ in range(6)} == {"a", "b", "c"}


def test_without_any_address_the_answer_is_503_and_the_client_may_go_on(
    bench: Bench, hold: Any
) -> None:
    held = hold(1)
    client = bench.client()
    bench.proxy.place("monolith")
    for _ in range(2):
        answer = client.ask("/")
        assert (answer.status, answer.header("Retry-After")) == (503, b"1")
    bench.proxy.place("monolith", *held.urls)
    assert who(client) == "a"


# --- addresses that fail


def failing(peer: Peer) -> None:
    while True:
        peer.request()
        peer.answer(b"bad", status="500 Oh")


def test_address_that_fails_in_a_row_is_left_out_for_longer_each_time(bench: Bench) -> None:
    good, bad = bench.upstream(), bench.upstream(failing)
    eject = {"failures": 3, "for_s": 10}
    bench.serve(upstreams={"monolith": {"urls": [good.url, bad.url], "eject": eject}})
    client = bench.client()

    def asked_now() -> int:
        """How often the bad one is asked, of many requests."""
        before = len(bad.requests)
        for _ in range(12):
            client.ask("/")
        return len(bad.requests) - before

    assert asked_now() == 3
    assert asked_now() == 0
    bench.proxy.pass_time(9)
    assert asked_now() == 0
    bench.proxy.pass_time(2)
    assert asked_now() == 3
    bench.proxy.pass_time(18)
    assert asked_now() == 0
    bench.proxy.pass_time(3)
    assert asked_now() == 3
    assert bench.proxy.plane.events["ejected", "monolith", ""] == 3


def test_kept_connections_of_an_address_that_is_left_out_are_closed(bench: Bench) -> None:
    closed = threading.Event()

    def script(peer: Peer) -> None:
        try:
            echo(peer)
        finally:
            closed.set()

    odd, good = bench.upstream(script), bench.upstream()
    settings = {"urls": [odd.url, good.url], "eject": {"failures": 1}, "idle_s": 1000}
    bench.serve(upstreams={"monolith": settings})
    client = bench.client()
    for _ in range(4):
        client.ask("/")
    assert not closed.is_set()
    pool = bench.proxy.plane.pools["monolith"]
    endpoint = pool.endpoints[0]
    bench.proxy.call(lambda: pool.judge(endpoint, failed=True))
    assert closed.wait(5)


def test_late_failures_of_an_address_that_is_out_do_not_leave_it_out_again(
    bench: Bench, hold: Any
) -> None:
    """What had been sent there before it was left out fails afterwards."""
    fail = threading.Event()

    def script(peer: Peer) -> None:
        while True:
            if peer.request().target == "/hold":
                assert fail.wait(10)
            peer.answer(b"", status="500 Oh")

    bad = bench.upstream(script)
    good = hold(1)
    eject = {"failures": 3, "for_s": 10}
    bench.serve(upstreams={"monolith": {"urls": [bad.url, good.urls[0]], "eject": eject}})
    waiting = [bench.client() for _ in range(12)]
    for number, one in enumerate(waiting, 1):
        one.get("/hold")
        until(lambda: len(bad.requests) + sum(good.asked()) == number, "it is there")  # noqa: B023
    assert len(bad.requests) == 6
    fail.set()
    good.let_go.set()
    for one in waiting:
        one.answer()
    bench.proxy.pass_time(11)
    before = len(bad.requests)
    client = bench.client()
    for _ in range(12):
        client.ask("/")
    assert len(bad.requests) - before == 3


# --- addresses that cannot be reached


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_request_that_nobody_has_got_goes_to_another_address_with_its_body(
    bench: Bench, method: str
) -> None:
    good = bench.upstream()
    urls = [f"http://127.0.0.1:{free_port()}", good.url]
    bench.serve(upstreams={"monolith": {"urls": urls, "eject": {"failures": 100}}})
    client = bench.client()
    for number in range(6):
        body = f"body {number} ".encode() * 5000
        client.request(method, f"/{number}", body=body)
        answer = client.answer().json()
        assert (answer["target"], answer["body"].encode()) == (f"/{number}", body)
    assert good.targets == [f"/{number}" for number in range(6)]
    assert bench.proxy.plane.events["retry", "monolith", ""] == 3


def test_body_that_is_still_coming_goes_to_the_other_address_whole(bench: Bench) -> None:
    good = bench.upstream()
    dead = [f"http://127.0.0.1:{free_port()}" for _ in range(3)]
    bench.serve(upstreams={"monolith": {"urls": [*dead, good.url], "eject": {"failures": 100}}})
    piece = bytes(range(256)) * 100
    for _ in range(4):
        client = bench.client()
        client.request("POST", "/", f"Content-Length: {len(piece) * 8}")
        for _ in range(8):
            client.send(piece)
        assert client.answer().json()["body"].encode("latin-1") == piece * 8


def test_every_address_is_tried_once_and_not_more_than_four(bench: Bench) -> None:
    good = bench.upstream()
    dead = [f"http://127.0.0.1:{free_port()}" for _ in range(3)]
    bench.serve(upstreams={"monolith": {"urls": [*dead, good.url], "eject": {"failures": 100}}})
    client = bench.client()
    for _ in range(20):
        client.request("POST", "/", body=b"x")
        assert client.answer().status == 200
    bench.proxy.place("monolith", *dead, f"http://127.0.0.1:{free_port()}", *dead[:1])
    before = bench.proxy.plane.events["retry", "monolith", ""]
    assert client.ask("/").status == 502
    assert bench.proxy.plane.events["retry", "monolith", ""] - before == 3


def test_post_that_was_sent_and_reset_is_not_tried_elsewhere(bench: Bench) -> None:
    def resetting(peer: Peer) -> None:
        peer.request()
        peer.reset()

    bad = [bench.upstream(resetting) for _ in range(3)]
    bench.serve(
        upstreams={"monolith": {"urls": [one.url for one in bad], "eject": {"failures": 100}}}
    )
    client = bench.client()
    for number in range(6):
        client.request("POST", f"/{number}", body=b"x")
        assert client.answer().status == 502
    assert sorted(target for one in bad for target in one.targets) == [f"/{n}" for n in range(6)]


def test_get_that_was_reset_is_repeated_at_another_address(bench: Bench) -> None:
    def resetting(peer: Peer) -> None:
        peer.request()
        peer.reset()

    good, bad = bench.upstream(), bench.upstream(resetting)
    bench.serve(upstreams={"monolith": {"urls": [bad.url, good.url], "eject": {"failures": 100}}})
    client = bench.client()
    for _ in range(8):
        assert client.ask("/").status == 200
    assert len(bad.requests) == 4


# --- reload


def test_reload_that_changes_only_the_canary_keeps_connections(bench: Bench) -> None:
    upstream = bench.before(echo, {"idle_s": 1000})
    client = bench.client()
    client.ask("/")
    for percent in (5, 10):
        changed = {"url": upstream.url, "idle_s": 1000, "canary": {"percent": percent}}
        bench.proxy.install(config(upstreams={"monolith": changed}))
        client.ask("/")
    assert upstream.connections == 1
    assert bench.proxy.plane.pools["monolith"].upstream.canary.percent == 10


def test_reload_that_changes_an_upstream_serves_those_who_wait_for_a_connection(
    bench: Bench, hold: Any
) -> None:
    held = hold(1, max_connections=1)
    waiting = holding(bench, held, 1)
    queued = [bench.client() for _ in range(3)]
    for client in queued:
        client.get("/hold")
    pool = bench.proxy.plane.pools["monolith"]
    until(lambda: bench.proxy.call(lambda: pool.waiting) == 3, "they wait")
    bench.proxy.install(config(upstreams={"monolith": {"url": held.urls[0], "idle_s": 7}}))
    held.let_go.set()
    for client in waiting + queued:
        assert client.answer().body == b"a"
    until(lambda: not bench.proxy.call(lambda: pool.in_use), "nothing is kept")
    assert not bench.proxy.call(lambda: [list(e.idle) for e in pool.endpoints if e.idle])


def test_upstream_addresses_are_placed_while_requests_come(bench: Bench) -> None:
    """Clients go on without a failure while addresses come and go."""
    ups: list[Upstream] = [bench.upstream() for _ in range(3)]
    urls = [up.url for up in ups]
    bench.serve(upstreams={"monolith": {"urls": urls}})
    stop, failures = threading.Event(), []

    def load() -> None:
        with Client(bench.proxy.port) as client:
            while not stop.is_set():
                if client.ask("/").status != 200:
                    failures.append(1)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(60):
        bench.proxy.place("monolith", *[url for i, url in enumerate(urls) if (turn + i) % 3])
        before = sum(len(up.requests) for up in ups)
        until(lambda: sum(len(up.requests) for up in ups) > before + 3, "they go on")  # noqa: B023
    stop.set()
    for thread in threads:
        thread.join(10)
    assert not failures
    assert bench.proxy.in_use() == 0
