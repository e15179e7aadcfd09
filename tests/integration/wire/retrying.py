"""A route that retries, and upstreams that are busy so many times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from strangler_proxy.wire.outside import Outside
from tests.integration.wire.conftest import Bench
from tests.wire_tools.upstream import Peer, Upstream

BAD = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nX-Bad: yes\r\n\r\nbusy"
QUICK = {"most": 2, "backoff_s": 0.001}


def before(
    bench: Bench,
    script: Callable[[Peer], None],
    retry: Any = None,
    drawn: Callable[[], float] = lambda: 1.0,
    settings: Any = None,
    limits: Any = None,
    **route: Any,
) -> Upstream:
    upstream = bench.upstream(script)
    bench.serve(
        Outside(draw=drawn),
        upstreams={"monolith": {"url": upstream.url, **(settings or {})}},
        routes=[
            {
                "name": "all", "match": "/<path:rest>", "control": "monolith",
                "retry": retry or QUICK, **route,
            }
        ],
        limits=limits or {},
    )  # fmt: skip
    return upstream


def busy(times: int, said: bytes = BAD) -> Callable[[Peer], None]:
    """A script that refuses each target so often, and echoes it then."""
    asked: dict[str, int] = {}

    def script(peer: Peer) -> None:
        while True:
            request = peer.request()
            asked[request.target] = asked.get(request.target, 0) + 1
            if asked[request.target] <= times:
                peer.send(said)
            else:
                peer.echo(request)

    return script


def retries(bench: Bench) -> int:
    return bench.proxy.plane.events["retry", "monolith", ""]
