"""Names and sentences of fences, and which numbers come next: decided without a database."""

from __future__ import annotations

import pytest

from strangler_proxy.handover.databases.fences import (
    about_to_move,
    fence_table,
    fence_trigger,
    has_moved,
    is_fence_trigger,
)
from strangler_proxy.handover.databases.numbering import Generator
from strangler_proxy.handover.databases.port import TableName
from strangler_proxy.handover.naming import change_table, is_trigger, trigger

LONGEST = "m" * 24
POSTS = TableName("public", "posts")


def test_names_fit_the_shortest_limit_and_change_with_the_definition() -> None:
    name = fence_trigger(LONGEST, POSTS, "one")
    assert len(name.encode()) <= 63
    assert name != fence_trigger(LONGEST, POSTS, "two")
    assert name != fence_trigger(LONGEST, TableName("public", "users"), "one")


@pytest.mark.parametrize(
    ("one", "other"), [("a", "b"), ("a", "a_fence"), ("a", "a_0123abcd"), ("a_fence", "a")]
)
def test_no_move_takes_anothers_trigger_for_its_own(one: str, other: str) -> None:
    name = fence_trigger(one, POSTS, "body")
    assert is_fence_trigger(one, name)
    assert not is_fence_trigger(other, name)


@pytest.mark.parametrize("move", ["posts", "posts_fence", "fence"])
def test_capture_and_fence_know_their_own_triggers_apart(move: str) -> None:
    for one in ("posts", "posts_fence", "fence"):
        assert not is_trigger(move, fence_trigger(one, POSTS, "body"))
        assert not is_fence_trigger(move, trigger(one, POSTS, "body", "ins"))
        assert fence_table(move) != change_table(one)


@pytest.mark.parametrize("say", [about_to_move, has_moved])
def test_a_writer_is_told_the_table_and_the_move_in_what_mysql_can_say(say: object) -> None:
    assert callable(say)
    assert str(POSTS) in say("articles", POSTS)
    assert "move 'articles'" in say("articles", POSTS)
    longest = say(LONGEST, TableName("s" * 64, "t" * 64))
    assert len(longest) <= 128
    assert f"'{LONGEST}'" in longest


@pytest.mark.parametrize(
    ("last", "step", "number", "reaching"),
    [
        (0, 1, 0, 0),
        (0, 1, 10, 10),
        (20, 1, 10, 20),
        (-1, 2, 0, -1),  # what comes next is 1
        (-1, 2, 1, 1),
        (-1, 2, 6, 5),
        (5, 2, 6, 5),
        (7, 10, 40, 37),
    ],
)
def test_what_comes_next_is_above_and_keeps_the_step(
    last: int, step: int, number: int, reaching: int
) -> None:
    found = Generator("g", last, 1000, step).reaching(number)
    assert found == reaching
    assert found + step > number
    assert (found - last) % step == 0
