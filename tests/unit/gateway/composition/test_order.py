"""What is asked for when, and that the order of answers makes no difference."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy.gateway.composition import Composed
from tests.unit.gateway.composition.parts import BLOG, JSON, POST, UNCACHED, composition, targets


def test_independent_parts_are_asked_at_once_and_dependent_ones_after_what_they_need() -> None:
    blog = composition(BLOG)
    assert targets(blog) == {"post": "/posts/7", "comments": "/comments?post=7"}
    assert targets(blog) == {}
    blog.answered("post", 200, JSON, POST)
    assert targets(blog) == {"author": "/users/3"}
    assert blog.outcome() is None
    blog.answered("author", 200, JSON, b'{"id": 3, "name": "Ada"}')
    assert blog.outcome() is None
    blog.answered("comments", 200, JSON, b'{"comments": [{"id": 1}]}')
    assert blog.outcome() == Composed(
        200,
        JSON + UNCACHED,
        b'{"post":%b,"author":{"id": 3, "name": "Ada"},"comments":[{"id": 1}]}' % POST,
    )


def test_each_part_has_its_own_time() -> None:
    subject = composition({"slow": {"get": "/slow", "timeout_s": 9}, "usual": {"get": "/usual"}})
    assert [(ask.part, ask.timeout_s) for ask in subject.ready()] == [("slow", 9), ("usual", 5)]


def test_keys_stand_in_the_order_of_the_file_whoever_answers_first() -> None:
    subject = composition({"b": {"get": "/b"}, "a": {"get": "/a"}})
    subject.ready()
    subject.answered("a", 200, JSON, b"1")
    subject.answered("b", 200, JSON, b"2")
    assert (outcome := subject.outcome()) is not None
    assert outcome.body == b'{"b":2,"a":1}'


def test_an_answer_that_was_not_asked_for_is_a_mistake_of_the_caller() -> None:
    subject = composition({"a": {"get": "/a"}})
    with pytest.raises(KeyError):
        subject.answered("a", 200, JSON, b"1")
    subject.ready()
    subject.answered("a", 200, JSON, b"1")
    with pytest.raises(KeyError):
        subject.failed("a", 502, "twice")


@dataclass(frozen=True)
class Case:
    """Parts that need each other, and what becomes of each when it is asked."""

    parts: dict[str, Any]
    fates: dict[str, tuple[int, bytes]]
    orders: tuple[list[float], list[float]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    names = [f"p{number}" for number in range(draw(st.integers(1, 6)))]
    parts, fates = {}, {}
    for number, name in enumerate(names):
        needed = draw(st.sets(st.sampled_from(names[:number]))) if number else set()
        query = "&".join(f"{other}={{{other}.k}}" for other in sorted(needed))
        parts[name] = {"get": f"/{name}?{query}"}
        if draw(st.booleans()):
            parts[name]["fallback"] = draw(st.sampled_from([None, {"k": name}, {"k": None}]))
        body = b'{"k": "%b"}' % name.encode()
        fate = st.sampled_from(
            [(200, body)] * 4 + [(200, b"{}"), (200, b"<"), (404, b""), (0, b"")]
        )
        fates[name] = draw(fate)
    in_file = draw(st.permutations(names))
    luck = st.lists(st.floats(0, 0.999), min_size=6, max_size=6)
    return Case({name: parts[name] for name in in_file}, fates, (draw(luck), draw(luck)))


def play(case: Case, luck: list[float]) -> tuple[Composed, list[str]]:
    """Drive a composition to its end, answering in a random order; also who was asked."""
    subject = composition(case.parts)
    under_way: list[str] = []
    asked: list[str] = []
    for fortune in luck:
        ready = [ask.part for ask in subject.ready()]
        asked += ready
        under_way += ready
        if (outcome := subject.outcome()) is not None:
            return outcome, asked
        name = under_way.pop(int(fortune * len(under_way)))  # never empty: something is to come
        status, body = case.fates[name]
        if status:
            subject.answered(name, status, JSON, body)
        else:
            subject.failed(name, 503, "is down")
    outcome = subject.outcome()
    assert outcome is not None
    return outcome, asked


def expected(case: Case) -> tuple[dict[str, Any], set[str]]:
    """By another way: the value of each part, and the required parts that fail of themselves."""
    values: dict[str, Any] = {}
    failing: set[str] = set()
    for name in sorted(case.parts):  # a part needs only those numbered before it
        part = case.parts[name]
        needed = [piece.partition("=")[0] for piece in part["get"].partition("?")[2].split("&")]
        if any(other and other not in values for other in needed):
            continue  # never asked
        reachable = all((values[other] or {}).get("k") for other in needed if other)
        status, body = case.fates[name]
        if reachable and status == 200 and body != b"<":
            values[name] = json.loads(body)
        elif "fallback" in part:
            values[name] = part["fallback"]
        else:
            failing.add(name)
    return values, failing


@given(cases())
def test_whatever_the_order_of_answers_the_outcome_is_the_same(case: Case) -> None:
    values, failing = expected(case)
    outcomes = []
    for luck in case.orders:
        outcome, asked = play(case, luck)
        assert len(asked) == len(set(asked))
        outcomes.append(outcome)
        if not failing:
            assert outcome.status == 200
            assert json.loads(outcome.body) == values
            assert list(json.loads(outcome.body)) == list(case.parts)
        else:
            # It ends with the first that is known to have failed: which, may depend on the order.
            assert outcome.status in (404, 502, 503)
            assert outcome.detail is None or outcome.detail.split("'")[1] in failing
    if len(failing) < 2:
        assert outcomes[0] == outcomes[1]
