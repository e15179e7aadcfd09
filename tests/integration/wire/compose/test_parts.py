"""One answer is made of several, which are asked for in parallel where they can be."""

from __future__ import annotations

from tests.integration.wire.compose.blog import PARTS, WHOLE, Blog, whole
from tests.wire_tools.proxy import until


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
