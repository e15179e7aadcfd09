"""What stands in for a part that cannot be had, and when the whole fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.wire.compose.blog import PARTS, WHOLE, Blog, whole
from tests.wire_tools.ports import free_port
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer, Request


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


def test_upstream_counts_stay_right_when_the_last_piece_is_one_too_many(blog: Blog) -> None:
    blog.does = {"users": a_little_too_long}
    client = blog.serve(compose={"part_bytes": 2000}, settings={"users": {"max_connections": 1}})
    for _ in range(5):
        assert whole(client.ask("/api/posts/1"))["author"] == {"name": "Unknown"}
        assert blog.bench.proxy.in_use("users") == 0
