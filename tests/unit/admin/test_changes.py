"""The differences between two configurations, as they are told."""

from __future__ import annotations

from typing import Any

import pytest

from strangler_proxy.admin.changes import LONGEST_VALUE, Change, changes
from strangler_proxy.config import Config


def config(**values: Any) -> Config:
    route = {"name": "upload", "match": "POST /upload", "control": "old", "candidate": "new"}
    document: dict[str, Any] = {
        "upstreams": {"old": {"url": "http://127.0.0.1:1"}, "new": {"url": "http://127.0.0.1:2"}},
        "default": "old",
        "routes": [route | values.pop("route", {}), *values.pop("routes", [])],
    }
    document["upstreams"] |= values.pop("upstreams", {})
    return Config.model_validate(document | values)


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        ("candidate", "candidate"),
        ("canary", "canary"),
        ({"candidate_percent": 5}, "5% (sticky client)"),
        ({"candidate_percent": 25, "sticky": "header:x-user"}, "25% (sticky header:x-user)"),
    ],
)
def test_a_flip_is_told_in_the_words_of_the_file(serve: Any, words: str) -> None:
    told = changes(config(), config(route={"serve": serve}))
    assert told == [Change("routes.upload.serve", "control", words)]
    assert told[0].undone == Change("routes.upload.serve", words, "control")


def test_a_canary_is_told_at_its_upstream() -> None:
    new = {"new": {"url": "http://127.0.0.1:2", "canary": {"percent": 10}}}
    assert changes(config(), config(upstreams=new)) == [
        Change("upstreams.new.canary", "0% (sticky client)", "10% (sticky client)")
    ]


def test_routes_and_upstreams_that_come_and_go_are_told_once_each() -> None:
    more = config(
        upstreams={"third": {"url": "http://127.0.0.1:3"}},
        routes=[{"name": "posts", "match": "GET /posts", "control": "third"}],
    )
    came = changes(config(), more)
    assert [change.what for change in came] == ["upstreams.third", "routes.posts"]
    assert [change.before for change in came] == [None, None]
    assert came[0].after["url"] == "http://127.0.0.1:3"
    assert came[1].after["match"] == "GET /posts"
    assert [change.after for change in changes(more, config())] == [None, None]


def test_any_other_key_is_told_by_its_dotted_path() -> None:
    new = config(
        timeouts={"drain_s": 5},
        trusted_proxies=["10.0.0.0/8"],
        force={"secret_env": "FORCE"},
        route={"retry": {"most": 1}, "rate_limit": "5/minute"},
    )
    assert {change.what: (change.before, change.after) for change in changes(config(), new)} == {
        "trusted_proxies": ([], ["10.0.0.0/8"]),
        "timeouts.drain_s": (30.0, 5.0),
        "force": (None, {"secret_env": "FORCE"}),
        "routes.upload.rate_limit": ([], [{"limit": "5/minute", "by": "client"}]),
        "routes.upload.retry": (
            None,
            {"most": 1, "statuses": [502, 503, 504], "backoff_s": 0.05, "longest_s": 1.0},
        ),
    }


def test_nothing_changed_is_nothing_told() -> None:
    assert changes(config(), config(timeouts={"drain_s": 30})) == []


def test_another_order_of_routes_is_told_and_an_added_one_is_no_new_order() -> None:
    a, b = ({"name": name, "match": f"/{name}", "control": "old"} for name in "ab")
    both, turned = config(routes=[a, b]), config(routes=[b, a])
    assert changes(both, turned) == [
        Change("order of routes", ["upload", "a", "b"], ["upload", "b", "a"])
    ]
    assert [change.what for change in changes(config(routes=[b]), both)] == ["routes.a"]


def test_a_fallback_of_null_differs_from_none() -> None:
    def composed(part: dict[str, Any]) -> Config:
        route = {"name": "page", "match": "GET /page", "compose": {"parts": {"author": part}}}
        return config(routes=[route])

    without, with_null = composed({"get": "/a"}), composed({"get": "/a", "fallback": None})
    assert changes(without, with_null) == [
        Change("routes.page.compose.parts.author.has_fallback", False, True)
    ]


def test_values_without_a_bound_are_cut() -> None:
    many = [f"10.0.{number}.0/24" for number in range(256)]
    (change,) = changes(config(), config(trusted_proxies=many))
    assert len(change.after) == LONGEST_VALUE
