"""Limits at the door: what answers tell of them, and who is counted as who."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.wire.conftest import Bench
from tests.integration.wire.gate.kept_route import bearer, before, send_quietly
from tests.wire_tools.client import Answer, Client
from tests.wire_tools.upstream import Peer, echo


def limited(bench: Bench, limit: Any, script: Callable[[Peer], None] = echo, **more: Any) -> Any:
    return before(bench, script, rate_limit=limit, token=None, more=more)


def left(answer: Answer) -> int:
    assert answer.header("RateLimit-Limit") == b"3"
    assert answer.header("RateLimit-Reset")
    return int(answer.header("RateLimit-Remaining") or -1)


def test_answers_tell_the_limit_and_beyond_it_they_are_429(bench: Bench) -> None:
    upstream = limited(bench, "3/hour")
    client = bench.client()
    assert [left(client.ask("/kept")) for _ in range(3)] == [2, 1, 0]
    for method in ("GET", "POST", "HEAD"):
        client.request(method, "/kept", body=b"x")
        answer = client.answer(method)
        assert (answer.status, left(answer)) == (429, 0)
        assert 1 <= int(answer.header("Retry-After") or 0) <= 3601
    assert client.ask("/open").header("RateLimit-Limit") is None
    assert len(upstream.requests) == 4
    assert bench.proxy.plane.events["refused", "kept", "rate-limit"] == 3


def test_upstreams_own_refusals_tell_the_limit_too(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(status="404 No")

    limited(bench, "3/hour", script)
    answer = bench.client().ask("/kept")
    assert (answer.status, left(answer)) == (404, 2)


def test_pipelined_requests_over_the_limit_are_answered_in_order(bench: Bench) -> None:
    limited(bench, "3/hour")
    client = bench.client()
    client.send(
        b"".join(
            b"POST %b?%d HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
            % (b"/open" if number % 10 == 9 else b"/kept", number)
            for number in range(200)
        )
    )
    answers = [client.answer() for _ in range(200)]
    statuses = [answer.status for answer in answers]
    assert statuses[:10] == [200] * 3 + [429] * 6 + [200]
    assert statuses[10:] == ([429] * 9 + [200]) * 19
    targets = [a.json()["target"].partition("?")[2] for a in answers if a.status == 200]
    assert targets == ["0", "1", "2", *(str(number) for number in range(9, 200, 10))]


def statuses(client: Client, *asked: list[str]) -> list[int]:
    return [client.ask("/kept", *lines).status for lines in asked]


def test_clients_behind_a_trusted_proxy_are_told_apart_and_cannot_make_themselves_up(
    bench: Bench,
) -> None:
    limited(bench, "3/hour", trusted_proxies=["127.0.0.0/8", "10.0.0.0/8"])
    client = bench.client()
    spoofed = [[f"X-Forwarded-For: 1.1.1.{n}, 203.0.113.7"] for n in range(3)]
    assert statuses(client, *spoofed) == [200] * 3
    assert statuses(
        client,
        ["X-Forwarded-For: 203.0.113.7"],
        ["X-Forwarded-For: 9.9.9.9, 203.0.113.7, 10.0.0.1"],
        ["X-Forwarded-For: 203.0.113.8", "X-Forwarded-For: 203.0.113.7"],
        ["X-Forwarded-For: 203.0.113.7:4711"],
        ["X-Forwarded-For: 203.0.113.8"],
    ) == [429, 429, 429, 429, 200]


def test_strangers_cannot_make_themselves_up_at_all(bench: Bench) -> None:
    limited(bench, "3/hour")
    client = bench.client()
    asked = [[f"X-Forwarded-For: 1.1.1.{n}", f"Forwarded: for=1.1.1.{n}"] for n in range(5)]
    assert statuses(client, *asked) == [200] * 3 + [429] * 2
    with Client(bench.proxy.port) as another:
        assert statuses(another, []) == [429]


@pytest.mark.parametrize(
    ("by", "ann", "bob"),
    [
        ("header:x-key", ["X-Key: ann"], ["X-Key: bob"]),
        ("cookie:session", ["Cookie: a=b; session=ann"], ["Cookie: session=bob; a=b"]),
        ("subject", [bearer("ann")], [bearer("bob")]),
    ],
)
def test_callers_are_told_apart_by_what_the_limit_says(
    bench: Bench, by: str, ann: list[str], bob: list[str]
) -> None:
    optional = {"check": "users", "optional": True}
    before(bench, rate_limit={"limit": "2/hour", "by": by}, token=optional)
    client = bench.client()
    assert statuses(client, ann, bob, ann, ann, bob, bob) == [200, 200, 200, 429, 200, 429]
    assert statuses(client, [], [], []) == [200, 200, 429]  # whoever has none, by address


def test_limit_by_route_counts_all_callers_together(bench: Bench) -> None:
    both = [{"limit": "3/hour", "by": "route"}, {"limit": "2/hour", "by": "header:x-key"}]
    before(bench, rate_limit=both, token=None)
    client = bench.client()
    ann, bob, cid = (["X-Key: ann"], ["X-Key: bob"], ["X-Key: cid"])
    assert statuses(client, ann, ann, ann, bob, cid) == [200, 200, 429, 200, 429]


def test_refused_tokens_do_not_use_up_the_limit(bench: Bench) -> None:
    before(bench, rate_limit={"limit": "1/hour", "by": "subject"})
    client = bench.client()
    assert statuses(client, [], ["Authorization: Bearer x"], [bearer()], [bearer()]) == [
        401, 401, 200, 429
    ]  # fmt: skip


def test_refusal_of_a_large_body_ends_the_connection_in_order(bench: Bench) -> None:
    limited(bench, "1/hour")
    client = bench.client()
    assert client.ask("/kept").status == 200
    client.request("POST", "/kept", "Content-Length: 3000000")
    sender = threading.Thread(target=send_quietly, args=(client, b"x" * 3_000_000))
    sender.start()
    answer = client.answer()
    assert (answer.status, answer.header("Connection")) == (429, b"close")
    assert client.ended()
    sender.join()


def test_counts_outlive_a_reload(bench: Bench) -> None:
    limited(bench, "3/hour")
    client = bench.client()
    assert statuses(client, [], []) == [200, 200]
    served = bench.proxy.plane.config
    bench.proxy.install(served.model_copy(update={"default_timeout_s": 7.0}))
    assert statuses(client, [], []) == [200, 429]
