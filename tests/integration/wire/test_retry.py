"""Requests that change nothing are sent again, and nothing is seen of the answers thrown away."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from strangler_proxy.wire.outside import Outside
from tests.integration.wire.conftest import STREAMED, Bench
from tests.integration.wire.retrying import BAD, QUICK, before, busy, retries
from tests.wire_tools.ports import free_port
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_idempotent_request_is_sent_again_until_it_is_answered(bench: Bench, method: str) -> None:
    upstream = before(bench, busy(2))
    client = bench.client()
    for number in (1, 2):
        body = None if method == "HEAD" else b"body" * 1000
        client.request(method, f"/{number}", body=body)
        answer = client.answer(method)
        assert (answer.status, answer.header("X-Bad")) == (200, None)
        if body:
            assert answer.json()["body"].encode() == body
    assert upstream.targets == ["/1"] * 3 + ["/2"] * 3
    tally = bench.proxy.plane.tallies["all", "monolith"]
    assert (retries(bench), tally.requests, tally.failures) == (4, 2, 0)


def test_after_the_most_tries_the_last_answer_is_passed_on(bench: Bench) -> None:
    upstream = before(bench, busy(9))
    answer = bench.client().ask("/x")
    assert (answer.status, answer.body, answer.header("X-Bad")) == (503, b"busy", b"yes")
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_request_that_might_be_carried_out_twice_is_sent_once(bench: Bench, method: str) -> None:
    upstream = before(bench, busy(1))
    client = bench.client()
    client.request(method, "/x", body=b"x")
    assert client.answer().status == 503
    assert len(upstream.requests) == 1


def test_body_is_repeated_up_to_64_kib_and_not_beyond(bench: Bench) -> None:
    upstream = before(bench, busy(1))
    client = bench.client()
    client.request("PUT", "/small", body=b"x" * 65_536)
    assert client.answer().json()["body"] == "x" * 65_536
    client.request("PUT", "/large", body=b"x" * 65_537)
    assert client.answer().status == 503
    assert upstream.targets == ["/small", "/small", "/large"]


@pytest.mark.parametrize("chunked", [True, False])
def test_body_that_still_comes_while_its_first_answer_is_thrown_away_arrives_whole(
    bench: Bench, chunked: bool
) -> None:
    """The upstream refuses early, before the body is there."""

    def script(peer: Peer) -> None:
        request = peer.head()
        if peer.number == 0:
            peer.send(BAD)
            peer.gone()
            return
        peer.body_of(request)
        peer.echo(request)

    upstream = before(bench, script, limits=STREAMED)
    client = bench.client()
    framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 9000"
    client.request("PUT", "/x", framing)

    def send(piece: bytes) -> None:
        client.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)

    send(b"a" * 3000)
    until(lambda: upstream.connections == 2, "it is sent again")
    send(b"b" * 3000)
    send(b"c" * 3000)
    if chunked:
        client.send(b"0\r\n\r\n")
    answer = client.answer()
    assert (answer.status, len(upstream.requests)) == (200, 1)
    assert answer.json()["body"] == "a" * 3000 + "b" * 3000 + "c" * 3000


def test_statuses_that_the_route_does_not_name_are_passed_on(bench: Bench) -> None:
    upstream = before(bench, busy(1), {**QUICK, "statuses": [500, 429]})
    assert bench.client().ask("/x").status == 503
    assert len(upstream.requests) == 1


def test_nothing_is_thrown_away_on_a_route_without_retries(bench: Bench) -> None:
    upstream = bench.before(busy(1))
    assert bench.client().ask("/x").status == 503
    assert len(upstream.requests) == 1


SAID = {
    "in one piece": [BAD],
    "byte by byte": [BAD[at : at + 1] for at in range(len(BAD))],
    "head, then body": [BAD[:-4], BAD[-4:]],
    "chunked": [
        b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"4\r\nbusy\r\n",
        b"0\r\nX-Bad: yes\r\n\r\n",
    ],
    "long": [b"HTTP/1.1 503 Busy\r\nContent-Length: 1000000\r\n\r\n", b"x" * 1_000_000],
    "until close": [b"HTTP/1.1 503 Busy\r\n\r\n", b"x" * 100_000],
    "surplus": [BAD + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"],
    "surplus later": [BAD, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"],
    "after a hint": [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + BAD],
    "half a body": [BAD[:-2]],
}


@pytest.mark.parametrize("pieces", SAID.values(), ids=SAID.keys())
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nothing_of_an_answer_that_is_thrown_away_is_seen(
    bench: Bench, pieces: list[bytes], method: str
) -> None:
    asked: set[str] = set()

    def script(peer: Peer) -> None:
        while True:
            request = peer.request()
            if request.target in asked:
                peer.echo(request)
                continue
            asked.add(request.target)
            for piece in pieces:
                peer.send(piece)
            if b"Content-Length" not in pieces[0] and b"chunked" not in pieces[0]:
                return

    before(bench, script)
    client = bench.client()
    heads = [f"{method} /{n} HTTP/1.1\r\nHost: h\r\n\r\n" for n in range(4)]
    client.send("".join(heads).encode())  # pipelined
    for number in range(4):
        answer = client.answer(method)
        assert (answer.status, answer.header("X-Bad")) == (200, None)
        if method == "GET":
            assert answer.json()["target"] == f"/{number}"
    assert bench.proxy.in_use() == 0


@pytest.mark.parametrize(
    "surplus", [b"\0", b"surplus", b"H", b"\n", b"HTTP/1.1 200 OK\r\n\0: \r\n"]
)
def test_surplus_that_comes_once_the_connection_is_lent_again_spoils_no_request(
    bench: Bench, surplus: bytes
) -> None:
    def script(peer: Peer) -> None:
        peer.echo(peer.request())
        if peer.number == 0:
            peer.request()  # lent again: now it is too late to see that it must not be
            peer.send(surplus)
            if surplus.startswith(b"sur"):
                peer.gone()
        else:
            peer.echo(peer.request())

    upstream = bench.before(script, {"breaker": {"failures": 1}})
    client = bench.client()
    assert client.ask("/1").status == 200
    assert client.ask("/2").json()["connection"] == 1
    assert upstream.targets == ["/1", "/2", "/2"]
    breaker = bench.proxy.plane.pools["monolith"].breaker
    assert breaker is not None
    assert breaker.state(bench.proxy.plane.now) == "closed"


def test_garbage_on_every_connection_is_a_failure_all_the_same(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.echo(peer.request())
        peer.request()
        peer.send(b"garbage\r\n\r\n")

    upstream = bench.before(lambda peer: script(peer) if not peer.number else garble(peer))
    client = bench.client()
    assert client.ask("/1").status == 200
    assert client.ask("/2").status == 502
    assert upstream.targets == ["/1", "/2", "/2"]


def garble(peer: Peer) -> None:
    peer.request()
    peer.send(b"garbage\r\n\r\n")


def test_pause_grows_and_is_as_long_as_drawn(bench: Bench) -> None:
    came: list[float] = []

    def script(peer: Peer) -> None:
        peer.request()
        came.append(time.monotonic())
        peer.send(BAD)

    before(bench, script, {"most": 3, "backoff_s": 0.2, "longest_s": 0.4}, lambda: 0.5)
    assert bench.client().ask("/x").status == 503
    pauses = [later - earlier for earlier, later in pairwise(came)]
    for pause, least in zip(pauses, (0.1, 0.2, 0.2), strict=True):
        assert least * 0.99 <= pause < least + 0.5


def test_connection_that_breaks_is_tried_again_with_pauses(bench: Bench) -> None:
    upstream = before(bench, lambda peer: peer.request() and peer.reset() and None)
    answer = bench.client().ask("/x")
    assert (answer.status, len(upstream.requests)) == (502, 3)


def test_upstream_that_comes_back_meanwhile_answers_even_a_post_it_never_got(bench: Bench) -> None:
    """Nothing was sent, so that nothing could be done twice."""
    port = free_port()
    bench.serve(
        Outside(draw=lambda: 1.0),
        upstreams={"monolith": f"http://127.0.0.1:{port}"},
        routes=[
            {
                "name": "all", "match": "/<path:rest>", "control": "monolith",
                "retry": {"most": 10, "backoff_s": 0.05},
            }
        ],
    )  # fmt: skip
    client = bench.client()
    client.request("POST", "/x", body=b"x")
    until(lambda: retries(bench), "it has been tried")
    bench.upstream(port=port)
    assert client.answer().status == 200


def test_another_address_is_preferred(bench: Bench) -> None:
    bad, good = bench.upstream(busy(10**6)), bench.upstream()
    settings = {"urls": [bad.url, good.url], "eject": {"failures": 10**6}}
    route = {"name": "all", "match": "/<path:rest>", "control": "monolith", "retry": QUICK}
    bench.serve(upstreams={"monolith": settings}, routes=[route])
    client = bench.client()
    for _ in range(20):
        assert client.ask("/x").status == 200
    assert len(bad.requests) == 10
