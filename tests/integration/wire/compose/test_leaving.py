"""No trace of parts is left when the client leaves, or when one is not needed any more."""

from __future__ import annotations

import threading

from tests.integration.wire.compose.blog import WHOLE, Blog, whole
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer, Request


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
