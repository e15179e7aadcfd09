"""What stands in for parts that could not be had, and how it is told."""

import json

from strangler_proxy.config import parse
from strangler_proxy.gateway.composition import Composition
from tests.unit.gateway.composition.parts import BLOG, JSON, POST, UNCACHED, composition, targets


def test_a_part_that_cannot_be_asked_has_its_fallback() -> None:
    blog = composition(BLOG)
    blog.ready()
    blog.answered("post", 200, JSON, b'{"author_id": null}')
    assert targets(blog) == {}
    blog.answered("comments", 200, JSON, b'{"comments": []}')
    assert (outcome := blog.outcome()) is not None
    assert json.loads(outcome.body)["author"] == {"id": None, "name": "Unknown"}
    assert outcome.fallbacks == ("author",)


def test_references_are_looked_up_in_the_fallback_that_stands_in() -> None:
    parts = {
        "settings": {"get": "/settings", "fallback": {"theme": 1}},
        "theme": {"get": "/themes/{settings.theme}"},
        "font": {"get": "/fonts/{settings.font}", "fallback": "serif"},
    }
    subject = composition(parts)
    subject.ready()
    subject.failed("settings", 503, "its breaker is open")
    assert targets(subject) == {"theme": "/themes/1"}
    subject.answered("theme", 200, JSON, b'"dark"')
    assert (outcome := subject.outcome()) is not None
    assert outcome.body == b'{"settings":{"theme":1},"theme":"dark","font":"serif"}'
    assert outcome.fallbacks == ("settings", "font")


def test_a_fallback_for_one_may_be_the_end_of_another() -> None:
    parts = {"a": {"get": "/a", "fallback": None}, "b": {"get": "/{a.id}"}}
    subject = composition(parts)
    subject.ready()
    subject.failed("a", 504, "took too long")
    assert (outcome := subject.outcome()) is not None
    assert (outcome.status, outcome.detail) == (502, "part 'b' cannot be asked: there is no a.id")


def test_fallbacks_are_told_in_the_order_of_the_file_and_nobody_keeps_the_answer() -> None:
    blog = composition(BLOG)
    blog.ready()
    blog.failed("comments", 504, "upstream 'posts' did not answer in time")
    blog.answered("post", 200, JSON, POST)
    blog.ready()
    blog.answered("author", 404, JSON, b"{}")
    assert (outcome := blog.outcome()) is not None
    assert outcome.fallbacks == ("author", "comments")
    assert outcome.headers == JSON + UNCACHED + b"X-Composed-Fallback: author, comments\r\n"
    assert json.loads(outcome.body)["comments"] == []


def test_fallbacks_of_every_kind_in_the_file_become_json() -> None:
    config = parse(
        """
default: blog
upstreams: {blog: {url: http://127.0.0.1:1}}
routes:
- name: composed
  match: GET /it
  compose:
    parts:
      it: {get: /x, fallback: {f: 1.50, e: 1e3, x: 0x1F, b: &yes true, l: [1, ~, true], k: "é"}}
"""
    )
    compose = config.routes[0].compose
    assert compose is not None
    subject = Composition(compose, {})
    subject.ready()
    subject.failed("it", 502, "refused")
    assert (outcome := subject.outcome()) is not None
    expected = {"f": 1.5, "e": 1e3, "x": 31, "b": True, "l": [1, None, True], "k": "é"}
    assert json.loads(outcome.body) == {"it": expected}
