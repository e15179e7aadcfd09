"""Upstreams that know one post in three parts, and the proxy that composes them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from tests.integration.wire.conftest import Bench
from tests.wire_tools.client import Answer, Client
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


def whole(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return answer.json()
