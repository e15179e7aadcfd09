"""Parts go by the proxy's own routes: flips, sides, identity, limits, retries hold for them."""

from __future__ import annotations

import pytest

from strangler_proxy.wire.outside import Outside
from tests.integration.wire.compose.blog import WHOLE, Blog, whole
from tests.integration.wire.conftest import Bench
from tests.wire_tools.proxy import config
from tests.wire_tools.upstream import Peer, Request


def test_parts_follow_the_flips_of_their_routes(blog: Blog, bench: Bench) -> None:
    new = bench.upstream(blog._script)
    moving = {"name": "m", "match": "GET /posts/<int:id>", "control": "posts", "candidate": "users"}
    blog.up["users"] = new
    client = blog.serve(routes=[{**moving, "serve": "control"}])
    assert whole(client.ask("/api/posts/1")) == WHOLE
    assert "/posts/1" not in new.targets
    served = bench.proxy.plane.config
    data = served.model_dump(mode="json", exclude_unset=True)
    data["routes"][-1]["serve"] = "candidate"
    bench.proxy.install(config(**data))
    assert whole(client.ask("/api/posts/1")) == WHOLE
    assert "/posts/1" in new.targets


def test_canary_knows_the_client_and_not_the_proxy(blog: Blog, bench: Bench) -> None:
    """The side of a part is the one that this client has on the part's own route."""
    moving = {
        "name": "m", "match": "GET /posts/<int:id>", "control": "posts", "candidate": "users",
        "serve": {"candidate_percent": 50, "sticky": "header:authorization"},
    }  # fmt: skip
    client = blog.serve(routes=[moving])
    sides = set()
    for number in range(16):
        line = f"Authorization: {number}"
        before = len(blog.up["users"].requests), blog.up["users"].targets.count("/posts/1")
        client.ask("/posts/1", line)
        alone = blog.up["users"].targets.count("/posts/1") - before[1]
        client.ask("/api/posts/1", line)
        composed = blog.up["users"].targets.count("/posts/1") - before[1] - alone
        assert alone == composed
        sides.add(alone)
    assert sides == {0, 1}


@pytest.mark.parametrize("way", ["X-Strangler-Side: {}", "Cookie: strangler_side={}"])
def test_forced_side_holds_for_the_parts(blog: Blog, way: str) -> None:
    moving = {"name": "m", "match": "GET /posts/<int:id>", "control": "posts", "candidate": "users"}
    outside = Outside(environ={"SIDE": "sixteen-bytes-and-more"})
    force = {"secret_env": "SIDE"}
    client = blog.serve(outside=outside, routes=[moving], force=force)
    said = way.format("candidate:sixteen-bytes-and-more")
    assert whole(client.ask("/api/posts/1", said)) == WHOLE
    assert blog.up["users"].targets.count("/posts/1") == 1
    lines = [line for up in blog.up.values() for r in up.requests for line in r.headers]
    assert not any(b"sixteen" in value for _, value in lines)


def test_part_that_is_itself_composed_is_a_fault_and_no_recursion(blog: Blog) -> None:
    client = blog.serve({"self": {"get": "/api/posts/{post_id}"}})
    for _ in range(2):
        answer = client.ask("/api/posts/1")
        assert answer.status == 502
        assert "'self'" in answer.json()["detail"]
    assert blog.asked() == 0


def test_parts_get_the_clients_credentials_trace_and_identity(blog: Blog) -> None:
    client = blog.serve()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    passed = ["Authorization: Bearer t", "Cookie: a=1", "Cookie: b=2", f"traceparent: {trace}"]
    kept = ["X-Other: no", "Range: bytes=0-1", "If-None-Match: x", "Accept: text/html"]
    hop = ["Connection: x-hop", "X-Hop: no", "X-Verified-Subject: root", "Expect: 100-continue"]
    client.get("/api/posts/1", *passed, *kept, *hop, "X-Request-ID: mine")
    assert whole(client.answer()) == WHOLE
    for up in blog.up.values():
        [request] = up.requests
        assert request.header("Authorization") == b"Bearer t"
        assert request.all("Cookie") == [b"a=1", b"b=2"]
        assert request.header("traceparent") == trace.encode()
        assert request.header("X-Request-ID") == b"mine"
        assert request.header("Host") == b"blog.test"
        assert request.header("X-Forwarded-For") == b"127.0.0.1"
        assert request.header("Accept") == b"application/json"
        for name in ("X-Other", "Range", "If-None-Match", "X-Hop", "X-Verified-Subject", "Expect"):
            assert request.header(name) is None
        assert len(request.all("Via")) == 1


def test_headers_that_frame_a_request_do_not_go_with_parts_even_if_named(blog: Blog) -> None:
    named = ["content-length", "host", "expect", "via", "accept", "x-team", "connection"]
    client = blog.serve(compose={"pass_headers": named})
    client.request(
        "GET", "/api/posts/1", "Accept: a/b", "X-Team: red", "Via: 1.1 there", body=b"body"
    )
    assert whole(client.answer()) == WHOLE
    assert whole(client.ask("/api/posts/1")) == WHOLE
    for up in blog.up.values():
        first, second = up.requests
        assert [r.header("Accept") for r in (first, second)] == [b"a/b", None]
        assert first.header("X-Team") == b"red"
        assert first.header("Content-Length") is None
        assert len(first.all("Host")) == 1


def test_tokens_and_limits_of_a_parts_route_hold_for_the_client(blog: Blog) -> None:
    limit = {"name": "m", "match": "GET /posts/<int:id>", "control": "posts", "rate_limit": "2/day"}
    client = blog.serve(routes=[limit])
    assert [client.ask("/api/posts/1").status for _ in range(3)] == [200, 200, 429]
    answer = client.ask("/api/posts/1")
    assert int(answer.header("Retry-After") or 0) > 0
    assert client.ask("/posts/1").status == 429


def test_retries_of_a_parts_route_are_made(blog: Blog) -> None:
    asked: list[str] = []

    def once_busy(peer: Peer, request: Request) -> None:
        asked.append(request.target)
        if len(asked) % 2:
            peer.answer(b"{}", status="503 Busy")
        else:
            blog.tell(peer, request)

    blog.does = {"users": once_busy}
    retry = {"most": 1, "backoff_s": 0.001}
    route = {"name": "u", "match": "/users/7", "control": "users", "retry": retry}
    client = blog.serve(routes=[route])
    for _ in range(3):
        assert whole(client.ask("/api/posts/1")) == WHOLE
