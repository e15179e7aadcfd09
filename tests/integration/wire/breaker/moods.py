"""An upstream that fails in ways a test chooses, behind a breaker."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tests.integration.wire.conftest import Bench
from tests.wire_tools.client import Answer, Client
from tests.wire_tools.upstream import Peer


class Mood:
    """A script whose behaviour changes from one moment to the next."""

    def __init__(self) -> None:
        self.now = "good"
        self.let_go = threading.Event()

    def __call__(self, peer: Peer) -> None:
        while True:
            request = peer.request()
            how = request.target.strip("/") or self.now
            if how == "bad":
                peer.answer(b"", status="500 Oh")
            elif how == "reset":
                peer.reset()
                return
            elif how == "garbage":
                peer.send(b"garbage\r\n\r\n")
            elif how == "silent":
                peer.gone()
                return
            elif how == "held":
                assert self.let_go.wait(10)
                peer.answer(b"held")
            elif how == "held-bad":
                assert self.let_go.wait(10)
                peer.answer(b"", status="500 Oh")
            elif how == "cut":
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
                return
            elif how.isdigit():
                peer.answer(b"", status=f"{how} X")
            elif how == "endless":
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
                assert self.let_go.wait(10)
                peer.send(b" full")
            else:
                peer.echo(request)


def before(bench: Bench, mood: Callable[[Peer], None], settings: Any = None, **more: Any) -> Any:
    given = {"breaker": {"failures": 5, "open_s": 60}, **(settings or {})}
    return bench.before(mood, given, default_timeout_s=20, **more)


def state(bench: Bench) -> str:
    pool = bench.proxy.plane.pools["monolith"]
    assert pool.breaker is not None
    return bench.proxy.call(lambda: pool.breaker.state(bench.proxy.plane.now))  # type: ignore[union-attr]


def refused(answer: Answer) -> bool:
    """Whether the proxy itself said that the breaker is open."""
    told = answer.status == 503 and answer.header("Content-Type") == b"application/problem+json"
    assert not told or answer.header("Retry-After")
    return told


def post(client: Client, target: str = "/") -> Answer:
    client.request("POST", target, body=b"x")
    return client.answer()


def break_it(bench: Bench) -> None:
    client = bench.client()
    for _ in range(5):
        assert post(client, "/bad").status == 500
    assert state(bench) == "open"
