"""A new configuration takes over between requests, or not at all."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.integration.wire.conftest import Bench
from tests.integration.wire.counts import echo_when, queued
from tests.wire_tools.proxy import config, until


def test_installing_a_configuration_touches_no_request_in_flight(bench: Bench) -> None:
    gate = threading.Event()
    old, new = bench.upstream(echo_when(gate)), bench.upstream()
    bench.serve(upstreams={"monolith": {"url": old.url, "max_connections": 1}})
    client, waiting = bench.client(), bench.client()
    client.get("/1")
    until(lambda: old.requests, "it is asked")
    waiting.get("/2")
    until(lambda: queued(bench) == 1, "another waits")
    bench.proxy.install(config(upstreams={"monolith": new.url}))
    assert bench.client().ask("/3").status == 200
    gate.set()
    assert client.answer().json()["target"] == "/1"
    assert waiting.answer().json()["target"] == "/2"
    assert client.ask("/4").status == 200
    assert (old.targets, new.targets) == (["/1", "/2"], ["/3", "/4"])


def test_unusable_authority_changes_nothing(bench: Bench, tmp_path: Path) -> None:
    upstream = bench.before()
    bad = config(
        upstreams={
            "monolith": {"url": "https://127.0.0.1:1", "tls": {"ca": str(tmp_path / "missing")}}
        }
    )
    with pytest.raises(OSError, match="No such file"):
        bench.proxy.install(bad)
    assert bench.client().ask("/").status == 200
    assert upstream.requests


def test_canary_is_sticky_by_header_cookie_and_client(bench: Bench) -> None:
    old, new = bench.upstream(), bench.upstream()
    routes = [
        {
            "name": kind,
            "match": f"/{kind}",
            "control": "old",
            "candidate": "new",
            "serve": {"candidate_percent": 50, "sticky": sticky},
        }
        for kind, sticky in {"h": "header:X-User", "c": "cookie:user", "a": "client"}.items()
    ]
    bench.serve(
        upstreams={"old": old.url, "new": new.url}, routes=routes, trusted_proxies=["127.0.0.1"]
    )
    client = bench.client()
    callers = {
        "/h": "X-User: {}",
        "/c": "Cookie: a=b; user={}; c=d",
        "/a": "X-Forwarded-For: 10.0.0.{}",
    }
    sides: dict[str, list[bool]] = {target: [] for target in callers}
    for target, line in callers.items():
        for number in range(60):
            seen = set()
            for _ in range(2):
                before = len(new.requests)
                client.ask(target, line.format(number))
                seen.add(len(new.requests) > before)
            assert len(seen) == 1
            sides[target].append(seen.pop())
    assert sides["/h"] == sides["/c"]
    assert all(10 < sum(served) < 50 for served in sides.values())
