"""While a breaker is open the control answers, where the route says so."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.wire.breaker.moods import Mood, post, refused
from tests.integration.wire.conftest import Bench


@pytest.mark.parametrize(
    "serve", ["candidate", {"candidate_percent": 99, "sticky": "header:x-who"}, "canary"]
)
@pytest.mark.parametrize("when_open", ["control", "refuse"])
def test_traffic_of_an_open_candidate_goes_where_the_route_says(
    bench: Bench, mood: Mood, serve: Any, when_open: str
) -> None:
    old, new = bench.upstream(), bench.upstream(mood)
    canary = {"percent": 99, "sticky": "header:x-who"}
    bench.serve(
        upstreams={
            "old": old.url,
            "new": {"url": new.url, "breaker": {"failures": 5}, "canary": canary},
        },
        routes=[
            {
                "name": "all", "match": "/<path:rest>", "control": "old", "candidate": "new",
                "serve": serve, "when_open": when_open,
            }
        ],
    )  # fmt: skip
    client = bench.client()
    while len(new.requests) < 5:
        client.request("POST", "/bad", f"X-Who: {len(new.requests)}{len(old.requests)}", body=b"x")
        client.answer()
    before_that = len(old.requests)
    answers = [client.ask("/good", f"X-Who: {number}") for number in range(30)]
    assert len(new.requests) == 5
    if when_open == "control":
        assert {answer.status for answer in answers} == {200}
        assert len(old.requests) == before_that + 30
        assert bench.proxy.plane.events["fallback", "all", "new"] >= 25
    else:
        assert sum(refused(answer) for answer in answers) >= 25
    bench.proxy.pass_time(61)
    assert {client.ask("/good", f"X-Who: {number}").status for number in range(30)} == {200}
    assert len(new.requests) > 25


def test_open_control_falls_back_to_nobody(bench: Bench, mood: Mood) -> None:
    new = bench.upstream()
    old = bench.upstream(mood)
    bench.serve(
        upstreams={"old": {"url": old.url, "breaker": {"failures": 5}}, "new": new.url},
        routes=[
            {
                "name": "all", "match": "/<path:rest>", "control": "old", "candidate": "new",
                "serve": "control", "when_open": "control",
            }
        ],
    )  # fmt: skip
    client = bench.client()
    assert [post(client, "/bad").status for _ in range(6)] == [500] * 5 + [503]
    assert not new.requests


def test_if_both_are_open_the_answer_is_503(bench: Bench, mood: Mood) -> None:
    old, new = bench.upstream(mood), bench.upstream(mood)
    breaker = {"failures": 1}
    bench.serve(
        upstreams={
            "old": {"url": old.url, "breaker": breaker},
            "new": {"url": new.url, "breaker": breaker},
        },
        routes=[
            {
                "name": "all", "match": "/<path:rest>", "control": "old", "candidate": "new",
                "serve": "candidate", "when_open": "control",
            }
        ],
    )  # fmt: skip
    client = bench.client()
    assert [post(client, "/bad").status for _ in range(2)] == [500, 500]
    answer = post(client, "/bad")
    assert refused(answer)
    assert "'new'" in answer.json()["detail"]
    assert (len(old.requests), len(new.requests)) == (1, 1)


def test_candidate_without_any_address_falls_back_too(bench: Bench, mood: Mood) -> None:
    old, new = bench.upstream(), bench.upstream()
    bench.serve(
        upstreams={"old": old.url, "new": {"url": new.url, "breaker": {}}},
        routes=[
            {
                "name": "all", "match": "/<path:rest>", "control": "old", "candidate": "new",
                "serve": "candidate", "when_open": "control",
            }
        ],
    )  # fmt: skip
    bench.proxy.place("new")
    assert bench.client().ask("/good").status == 200
    assert (len(old.requests), len(new.requests)) == (1, 0)
