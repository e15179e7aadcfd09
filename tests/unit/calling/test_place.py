"""Traffic is made against a blog on this machine, and against nothing else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask, jsonify
from werkzeug.serving import make_server

from scripts.calling.place import NoBlogError, origin, posts_at
from tests.wire_tools.ports import free_port


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://localhost:9000", "http://127.0.0.1:9000"),
        ("http://127.0.0.2", "http://127.0.0.2:80"),
    ],
)
def test_an_address_of_this_machine_is_taken(url: str, address: str) -> None:
    assert origin(url) == address


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.org", "http://10.0.0.1:8000", "https://127.0.0.1:8000", "127.0.0.1:8000"),
        *("http://127.0.0.1.example.org", "http://127.0.0.1:8000/posts", "http://127.0.0.1:port"),
        *("http://[::1]:8000", ""),
    ],
)
def test_any_other_is_refused(url: str) -> None:
    with pytest.raises(NoBlogError):
        origin(url)


@pytest.mark.parametrize("answer", [{"total": 7, "posts": []}, {"posts": []}, "what?"])
def test_a_blog_tells_how_many_posts_it_has_and_nobody_else_is_taken_for_one(
    answer: object,
) -> None:
    app = Flask("a blog, or not")
    app.get("/posts")(lambda: jsonify(answer))
    with served(app) as url:
        if answer == {"total": 7, "posts": []}:
            assert posts_at(url) == 7
        else:
            with pytest.raises(NoBlogError, match="is this the blog"):
                posts_at(url)


def test_where_nobody_listens_it_is_said_how_the_blog_is_started() -> None:
    with pytest.raises(NoBlogError, match="scripts/up --detach"):
        posts_at(f"http://127.0.0.1:{free_port()}")


@contextmanager
def served(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
