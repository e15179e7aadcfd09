"""Parts come framed in any way and of any size, and composed answers keep their place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.wire.compose.blog import SAID, WHOLE, Blog, whole
from tests.wire_tools.upstream import Peer, Request


def chunked(peer: Peer, request: Request) -> None:
    body = json.dumps(SAID[request.target]).encode()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for at in range(0, len(body), 5):
        piece = body[at : at + 5]
        peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    peer.send(b"0\r\nX-Trailer: 1\r\n\r\n")


def until_close(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(SAID[request.target]).encode())
    peer.sock.close()


def in_drops(peer: Peer, request: Request) -> None:
    body = json.dumps(SAID[request.target]).encode()
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body):
        peer.send(bytes([byte]))


def after_a_hint(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    chunked(peer, request)


@pytest.mark.parametrize(
    "does", [chunked, until_close, in_drops, after_a_hint], ids=lambda does: does.__name__
)
def test_parts_may_come_framed_in_any_way(blog: Blog, does: Any) -> None:
    blog.does = dict.fromkeys(blog.names, does)
    client = blog.serve()
    for _ in range(3):
        assert whole(client.ask("/api/posts/1")) == WHOLE


def test_large_parts_pass_whole(blog: Blog) -> None:
    large = {"id": 1, "author_id": 7, "text": "x" * 3_000_000}

    def tell(peer: Peer, request: Request) -> None:
        peer.answer(json.dumps(large).encode())

    blog.does = {"posts": tell}
    client = blog.serve()
    for _ in range(2):
        assert whole(client.ask("/api/posts/1")) == {**WHOLE, "post": large}


def test_composed_and_plain_answers_keep_their_order_on_one_connection(blog: Blog) -> None:
    client = blog.serve()
    targets = ["/api/posts/1", "/users/7", "/api/posts/2", "/comments?post=1"] * 25
    client.send("".join(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n" for target in targets).encode())
    for target in targets:
        answer = client.answer()
        if target == "/api/posts/1":
            assert whole(answer) == WHOLE
        elif target == "/api/posts/2":
            assert answer.status == 404
        else:
            assert whole(answer) == SAID[target]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_many_answers_for_which_nobody_need_be_asked_are_not_made_inside_each_other(
    blog: Blog, method: str
) -> None:
    parts = {"author": {"get": "/users/7", "fallback": {"name": "Unknown"}}}
    client = blog.serve(parts, settings={"users": {"breaker": {}}})
    breaker = blog.bench.proxy.plane.pools["users"].breaker
    assert breaker is not None
    blog.bench.proxy.call(lambda: breaker.force("open"))
    client.send(f"{method} /api/posts/1 HTTP/1.1\r\nHost: h\r\n\r\n".encode() * 250)
    for _ in range(250):
        assert client.answer(method).status == 200
    assert blog.asked() == 0
