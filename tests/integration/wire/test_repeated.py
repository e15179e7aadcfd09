"""A request is sent again only on a kept connection that had closed, and if repeating it changes
nothing."""

from __future__ import annotations

import pytest

from tests.integration.wire.conftest import STREAMED, Bench
from tests.integration.wire.trouble import dying, problem
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer, echo


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_idempotent_request_is_sent_again_when_its_kept_connection_turns_out_closed(
    bench: Bench, method: str
) -> None:
    def script(peer: Peer) -> None:
        peer.echo(peer.request())
        if peer.number == 0:
            peer.request()  # read, and closed without an answer
            return
        echo(peer)

    upstream = bench.before(script)
    client = bench.client()
    assert client.ask("/first").status == 200
    client.request(method, "/again", body=b"body" if method == "PUT" else None)
    assert client.answer(method).status == 200
    assert upstream.targets == ["/first", "/again", "/again"]
    if method == "PUT":
        assert upstream.requests[-1].body == b"body"


@pytest.mark.parametrize("method", ["POST", "PATCH", "PROPPATCH"])
@pytest.mark.parametrize("reuse", ["safe", "always", "never"])
def test_request_that_must_not_be_repeated_is_sent_once(
    bench: Bench, method: str, reuse: str
) -> None:
    def script(peer: Peer) -> None:
        while True:
            if peer.request().target == "/die":
                return
            peer.answer(b"ok")

    upstream = bench.before(script, {"reuse": reuse})
    client = bench.client()
    assert client.ask("/first").status == 200
    client.request(method, "/die", body=b"1")
    problem(client.answer(), 502)
    assert upstream.targets == ["/first", "/die"]


def test_idempotent_request_is_repeated_once_only(bench: Bench) -> None:
    upstream = bench.before(lambda peer: peer.request() and None)
    problem(bench.client().ask("/"), 502)
    assert upstream.targets == ["/", "/"]


def test_request_whose_answer_has_begun_is_not_repeated(bench: Bench) -> None:
    upstream = bench.before(dying(b"HTTP/1.1 200 O"))  # type: ignore[arg-type]
    problem(bench.client().ask("/"), 502)
    assert upstream.targets == ["/"]


def test_body_too_large_to_keep_is_not_repeated_and_a_kept_one_is_whole(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        request = peer.request()
        if upstream.targets.count(request.target) == 2:
            peer.echo(request)
            peer.request()  # the next one is read as well before it is left without an answer

    upstream = bench.before(script, limits=STREAMED)
    client = bench.client()
    body = bytes(range(256)) * 250
    client.request("PUT", "/small", "Content-Length: 64000")
    client.send(body[:30000])
    until(lambda: upstream.heads, "it has begun")
    client.send(body[30000:])
    assert client.answer().json()["body"].encode("latin-1") == body
    client.request("PUT", "/large", body=body * 8)
    problem(client.answer(), 502)
    assert upstream.targets == ["/small", "/small", "/large"]


@pytest.mark.parametrize("reuse", ["safe", "never"])
def test_post_is_not_sent_on_a_connection_that_the_upstream_has_closed(
    bench: Bench, reuse: str
) -> None:
    def script(peer: Peer) -> None:
        peer.echo(peer.request())  # keep-alive promised, and then closed

    bench.before(script, {"reuse": reuse})
    client = bench.client()
    for number in range(30):
        client.request("POST", f"/{number}", body=b"x")
        assert client.answer().status == 200
