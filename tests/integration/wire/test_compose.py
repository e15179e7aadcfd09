"""One answer made of several: asked for in parallel, with what stands in where a part cannot be
had, and no trace left when the client leaves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from strangler_proxy.wire.outside import Outside
from tests.integration.wire.conftest import Bench
from tests.integration.wire.test_upstream_trouble import free_port
from tests.wire_tools.client import Answer, Client
from tests.wire_tools.proxy import config, until
from tests.wire_tools.upstream import Peer, Request

PARTS = {
    "post": {"get": "/posts/{post_id}"},
    "author": {"get": "/users/{post.author_id}", "fallback": {"name": "Unknown"}},
    "comments": {"get": "/comments?post={post_id}", "pick": "items", "fallback": []},
}
WHOLE = {"post": {"id": 1, "author_id": 7}, "author": {"name": "Ann"}, "comments": ["c1"]}
SAID: dict[str, Any] = {
    "/posts/1": WHOLE["post"],
    "/users/7": WHOLE["author"],
    "/comments?post=1": {"items": WHOLE["comments"]},
}


class Blog:
    """Upstreams that know one post; what each does with a request can be changed."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.let_go = threading.Event()
        self.does: dict[str, Callable[[Peer, Request], None]] = {}
        self.names = ("posts", "users", "comments")
        self.up = {name: bench.upstream(self._script) for name in self.names}

    def _script(self, peer: Peer) -> None:
        while True:
            request = peer.request()
            self.does.get(request.target.split("/")[1].split("?")[0], self.tell)(peer, request)

    def tell(self, peer: Peer, request: Request) -> None:
        """Answer with what is known of it."""
        if request.target in SAID:
            peer.answer(json.dumps(SAID[request.target]).encode(), "Content-Type: application/json")
        else:
            peer.answer(b'{"error": "none"}', "Content-Type: application/json", status="404 No")

    def hold(self, peer: Peer, request: Request) -> None:
        """Answer when told to."""
        assert self.let_go.wait(10)
        self.tell(peer, request)

    def serve(
        self, parts: Any = None, compose: Any = None, route: Any = None, **more: Any
    ) -> Client:
        settings = more.pop("settings", {})
        self.bench.serve(
            more.pop("outside", None),
            upstreams={
                name: {"url": self.up[name].url, **settings.get(name, {})} for name in self.names
            },
            routes=[
                {
                    "name": "whole", "match": "GET /api/posts/<int:post_id>",
                    "compose": {"parts": parts or PARTS, **(compose or {})}, **(route or {}),
                },
                {"name": "users", "match": "/users/<int:id>", "control": "users"},
                {"name": "comments", "match": "/comments", "control": "comments"},
                *more.pop("routes", ()),
            ],
            **more,
        )  # fmt: skip
        return self.bench.client()

    def asked(self) -> int:
        return sum(len(up.requests) for up in self.up.values())


@pytest.fixture
def blog(bench: Bench) -> Iterator[Blog]:
    made = Blog(bench)
    yield made
    made.let_go.set()


def whole(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return answer.json()


def test_parts_become_one_answer(blog: Blog) -> None:
    client = blog.serve()
    for _ in range(3):
        answer = client.ask("/api/posts/1", "X-Request-ID: mine")
        assert whole(answer) == WHOLE
        assert list(answer.json()) == ["post", "author", "comments"]
        assert answer.header("Content-Type") == b"application/json"
        assert answer.header("X-Request-ID") == b"mine"
        assert answer.header("Connection") is None
    tallies = blog.bench.proxy.plane.tallies
    assert tallies["whole", "(composed)"].requests == 3
    assert tallies["users", "users"].requests == 3
    assert {name: up.connections for name, up in blog.up.items()} == dict.fromkeys(blog.names, 1)


def test_head_is_answered_with_the_length_and_no_body(blog: Blog) -> None:
    client = blog.serve()
    length = len(client.ask("/api/posts/1").body)
    for _ in range(2):
        client.request("HEAD", "/api/posts/1")
        assert client.answer("HEAD").header("Content-Length") == str(length).encode()


def test_other_methods_are_not_composed(blog: Blog) -> None:
    client = blog.serve()
    client.request("POST", "/api/posts/1", body=b"x")
    assert client.answer().status == 404
    assert blog.up["posts"].targets == ["/api/posts/1"]


def test_parts_that_need_nothing_of_each_other_are_asked_at_the_same_time(blog: Blog) -> None:
    blog.does = dict.fromkeys(("posts", "users", "comments"), blog.hold)
    parts = {
        "post": {"get": "/posts/{post_id}"},
        "author": {"get": "/users/7"},
        "comments": PARTS["comments"],
    }
    client = blog.serve(parts)
    client.get("/api/posts/1")
    until(lambda: blog.asked() == 3, "all three are asked before any has answered")
    blog.let_go.set()
    assert whole(client.answer()) == WHOLE


def test_part_that_needs_another_is_asked_after_it_and_others_are_not_held_up(blog: Blog) -> None:
    blog.does = {"posts": blog.hold}
    client = blog.serve()
    client.get("/api/posts/1")
    until(lambda: blog.asked() == 2, "the post and the comments are asked for")
    assert not blog.up["users"].requests
    blog.let_go.set()
    assert whole(client.answer()) == WHOLE


# --- what stands in


def garbage(peer: Peer, request: Request) -> None:
    peer.send(b"garbage\r\n\r\n")


def reset(peer: Peer, request: Request) -> None:
    peer.reset()


def error(peer: Peer, request: Request) -> None:
    peer.answer(b"{}", status="500 Oh")


def cut(peer: Peer, request: Request) -> None:
    peer.send(b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"name"')
    peer.sock.close()


def cut_chunked(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
    peer.sock.close()


def not_json(peer: Peer, request: Request) -> None:
    peer.answer(b"<html>", "Content-Type: text/html")


def half_json(peer: Peer, request: Request) -> None:
    peer.answer(b'{"name": ')


def too_long(peer: Peer, request: Request) -> None:
    peer.answer(b'"%b"' % (b"x" * 9_000_000))


def a_little_too_long(peer: Peer, request: Request) -> None:
    peer.answer(b'"%b"' % (b"x" * 3000))


BAD = [garbage, reset, error, cut, cut_chunked, not_json, half_json, too_long, a_little_too_long]


@pytest.mark.parametrize("does", BAD, ids=lambda does: does.__name__)
def test_part_that_cannot_be_had_is_stood_in_for_or_fails_the_whole(
    blog: Blog, does: Callable[[Peer, Request], None]
) -> None:
    blog.does = {"users": does}
    client = blog.serve(compose={"part_bytes": 2000})
    for _ in range(2):
        answer = client.ask("/api/posts/1")
        assert whole(answer) == {**WHOLE, "author": {"name": "Unknown"}}
        assert answer.header("X-Composed-Fallback") == b"author"
    assert blog.bench.proxy.plane.events["part-fallback", "whole", "author"] == 2
    blog.does = {"posts": does}
    for _ in range(2):
        answer = client.ask("/api/posts/1")
        assert answer.status == 502
        assert "'post'" in answer.json()["detail"]
    blog.does = {}
    assert whole(client.ask("/api/posts/1")) == WHOLE
    for name in blog.names:
        assert blog.bench.proxy.in_use(name) == 0


def test_part_whose_upstream_is_down_is_stood_in_for(blog: Blog) -> None:
    client = blog.serve(settings={"users": {"url": f"http://127.0.0.1:{free_port()}"}})
    for _ in range(3):
        assert whole(client.ask("/api/posts/1"))["author"] == {"name": "Unknown"}


def silent(peer: Peer, request: Request) -> None:
    peer.gone()


def begun(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{")
    peer.gone()


@pytest.mark.parametrize("does", [silent, begun], ids=["silent", "begun"])
def test_part_that_is_slow_is_stood_in_for(blog: Blog, does: Any) -> None:
    blog.does = {"users": does}
    client = blog.serve({**PARTS, "author": {**PARTS["author"], "timeout_s": 3}})
    client.get("/api/posts/1")
    until(lambda: blog.asked() == 3, "all are asked")
    blog.bench.proxy.pass_time(2)
    blog.bench.proxy.pass_time(2)
    assert whole(client.answer()) == {**WHOLE, "author": {"name": "Unknown"}}
    until(lambda: blog.bench.proxy.in_use("users") == 0, "it is not waited for any more")
    assert blog.bench.proxy.plane.tallies["users", "users"].failures == 1


@pytest.mark.parametrize("does", [silent, begun], ids=["silent", "begun"])
def test_required_part_that_is_slow_fails_the_whole_with_504(blog: Blog, does: Any) -> None:
    blog.does = {"posts": does}
    client = blog.serve({**PARTS, "post": {**PARTS["post"], "timeout_s": 3}})
    client.get("/api/posts/1")
    until(lambda: blog.asked() == 2, "they are asked")
    blog.bench.proxy.pass_time(4)
    answer = client.answer()
    assert (answer.status, "3 s" in answer.json()["detail"]) == (504, True)


def test_part_that_pauses_for_too_long_in_its_answer_is_given_up(blog: Blog) -> None:
    blog.does = {"users": begun}
    route = {"name": "u", "match": "/users/7", "control": "users", "timeout_s": 60, "idle_s": 2}
    client = blog.serve({**PARTS, "author": {**PARTS["author"], "timeout_s": 50}}, routes=[route])
    client.get("/api/posts/1")
    until(lambda: ("u", "users") in blog.bench.proxy.plane.tallies, "it has begun")
    until(lambda: blog.bench.proxy.plane.tallies["u", "users"].requests, "it has begun")
    blog.bench.proxy.pass_time(3)
    assert whole(client.answer())["author"] == {"name": "Unknown"}


def test_parts_whose_time_is_over_together_are_counted_once_each(blog: Blog) -> None:
    """The required one fails the whole, and the others are dropped, not failed."""
    blog.does = dict.fromkeys(("posts", "comments"), silent)
    for _ in range(4):  # in whichever order they are looked at
        known = blog.asked()
        parts = {name: {**PARTS[name], "timeout_s": 3} for name in ("post", "comments")}
        parts["comments"].pop("fallback")
        client = blog.serve(parts)
        client.get("/api/posts/1")
        until(lambda: blog.asked() == known + 2, "they are asked")  # noqa: B023
        blog.bench.proxy.pass_time(4)
        assert client.answer().status == 504
        tallies = blog.bench.proxy.plane.tallies.values()
        assert sum(tally.failures for tally in tallies) == 2, "of a part, and of the whole"


def test_whole_time_bounds_a_composed_answer(blog: Blog) -> None:
    blog.does = {"users": silent}
    parts = {**PARTS, "author": {"get": "/users/7", "timeout_s": 50}}
    client = blog.serve(parts, route={"total_s": 5})
    client.get("/api/posts/1")
    until(lambda: blog.asked() == 3, "all are asked")
    blog.bench.proxy.pass_time(6)
    answer = client.answer()
    assert (answer.status, "5 s" in answer.json()["detail"]) == (504, True)
    until(lambda: blog.bench.proxy.in_use("users") == 0, "it is dropped")
    blog.does = {}
    assert whole(client.ask("/api/posts/1")) == WHOLE


def test_part_whose_breaker_is_open_is_stood_in_for_at_once(blog: Blog) -> None:
    client = blog.serve(settings={"users": {"breaker": {"failures": 2}}})
    blog.does = {"users": error}
    for _ in range(4):
        assert whole(client.ask("/api/posts/1"))["author"] == {"name": "Unknown"}
    assert len(blog.up["users"].requests) == 2


def test_required_part_whose_breaker_is_open_makes_it_503_with_retry_after(blog: Blog) -> None:
    client = blog.serve(settings={"posts": {"breaker": {"failures": 2}}})
    blog.does = {"posts": error}
    assert [client.ask("/api/posts/1").status for _ in range(3)] == [502, 502, 503]
    assert int(client.ask("/api/posts/1").header("Retry-After") or 0) > 50


def test_refusal_of_the_required_part_is_passed_on(blog: Blog) -> None:
    client = blog.serve()
    for _ in range(2):
        answer = client.ask("/api/posts/2")
        assert (answer.status, answer.json()) == (404, {"error": "none"})
    client.request("HEAD", "/api/posts/2")
    assert client.answer("HEAD").status == 404
    assert whole(client.ask("/api/posts/1")) == WHOLE


@pytest.mark.parametrize("status", ["404 No", "401 No", "499 Odd", "418 I'm a teapot"])
def test_any_refusal_of_a_part_is_passed_on_or_stood_in_for(blog: Blog, status: str) -> None:
    def refuse(peer: Peer, request: Request) -> None:
        peer.answer(b"{}", "WWW-Authenticate: Bearer", "Set-Cookie: a=b", status=status)

    client = blog.serve()
    blog.does = {"posts": refuse}
    answer = client.ask("/api/posts/1")
    assert answer.status == int(status[:3])
    assert (answer.header("WWW-Authenticate"), answer.header("Set-Cookie")) == (b"Bearer", None)
    blog.does = {"users": refuse}
    assert whole(client.ask("/api/posts/1"))["author"] == {"name": "Unknown"}


# --- who leaves


def test_client_that_leaves_takes_its_parts_with_it(blog: Blog) -> None:
    gone: list[str] = []

    def wait(peer: Peer, request: Request) -> None:
        peer.gone()
        gone.append(request.target)

    blog.does = dict.fromkeys(("posts", "comments"), wait)
    client = blog.serve()
    client.get("/api/posts/1")
    until(lambda: blog.asked() == 2, "they are asked")
    client.reset()
    until(lambda: sorted(gone) == ["/comments?post=1", "/posts/1"], "their connections are closed")
    plane = blog.bench.proxy.plane
    until(lambda: not blog.bench.proxy.call(lambda: plane.connections), "nothing is left")
    assert sum(tally.failures for tally in plane.tallies.values()) == 0


def test_part_that_is_not_needed_any_more_is_dropped(blog: Blog) -> None:
    """The required one has failed."""
    gone = threading.Event()

    def wait(peer: Peer, request: Request) -> None:
        peer.gone()
        gone.set()

    blog.does = {"comments": wait, "posts": blog.hold}
    client = blog.serve()
    client.get("/api/posts/2")
    until(lambda: blog.asked() == 2, "both are asked")
    blog.let_go.set()
    assert client.answer().status == 404
    assert gone.wait(5)


def test_draining_proxy_finishes_a_composed_answer(blog: Blog) -> None:
    blog.does = {"users": blog.hold}
    client = blog.serve()
    client.get("/api/posts/1")
    until(lambda: blog.asked() == 3, "all are asked")
    blog.bench.proxy.drain()
    until(lambda: blog.bench.proxy.plane.draining, "it drains")
    blog.let_go.set()
    answer = client.answer()
    assert whole(answer) == WHOLE
    assert answer.header("Connection") == b"close"


# --- through the proxy's own routes


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


# --- framing


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


def test_request_with_a_body_is_composed_and_its_body_goes_nowhere(blog: Blog) -> None:
    client = blog.serve()
    client.request("GET", "/api/posts/1", body=b"GET /users/7 HTTP/1.1\r\nHost: h\r\n\r\n")
    assert whole(client.answer()) == WHOLE
    assert whole(client.ask("/users/7")) == WHOLE["author"]
    assert len(blog.up["users"].requests) == 2


def test_http_1_0_gets_a_composed_answer(blog: Blog) -> None:
    client = blog.serve()
    client.send(b"GET /api/posts/1 HTTP/1.0\r\n\r\n")
    assert whole(client.answer()) == WHOLE
    assert client.ended()


def test_argument_that_leads_elsewhere_is_refused_and_asks_nobody(blog: Blog) -> None:
    route = {
        "name": "any", "match": "GET /any/<path:rest>",
        "compose": {"parts": {"it": {"get": "/users/{rest}"}}},
    }  # fmt: skip
    client = blog.serve(routes=[route])
    assert client.ask("/any/..%2fposts%2f1").status == 400
    assert blog.asked() == 0


def test_hundred_clients_at_once(blog: Blog) -> None:
    blog.serve(settings={name: {"max_connections": 8} for name in blog.names})
    clients = [blog.bench.client(timeout_s=20) for _ in range(100)]
    for _ in range(3):
        for client in clients:
            client.get("/api/posts/1")
        for client in clients:
            assert whole(client.answer()) == WHOLE
    plane = blog.bench.proxy.plane
    assert plane.tallies["whole", "(composed)"].requests == 300
    assert [blog.bench.proxy.in_use(name) for name in blog.names] == [0, 0, 0]
    assert not blog.bench.proxy.call(lambda: [c for c in plane.connections if c.is_part])  # type: ignore[attr-defined]


def test_upstream_counts_stay_right_when_the_last_piece_is_one_too_many(blog: Blog) -> None:
    blog.does = {"users": a_little_too_long}
    client = blog.serve(compose={"part_bytes": 2000}, settings={"users": {"max_connections": 1}})
    for _ in range(5):
        assert whole(client.ask("/api/posts/1"))["author"] == {"name": "Unknown"}
        assert blog.bench.proxy.in_use("users") == 0
