"""In which order steps go forward and back."""

from __future__ import annotations

import pytest

from strangler_proxy.steps.decision import Direction
from strangler_proxy.steps.order import Order, order_of, out_of_turn
from strangler_proxy.steps.state import Phase

NEEDS = {"posts": ("image", "auth"), "retire": ("image", "auth", "posts")}


def test_an_order_is_read_in_both_directions() -> None:
    assert order_of("auth", NEEDS) == Order((), ("posts", "retire"))
    assert order_of("posts", NEEDS) == Order(("image", "auth"), ("retire",))
    assert order_of("payment", NEEDS) == Order()


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.FORWARD, Phase.BACK])
def test_a_step_waits_until_those_that_it_needs_are_done(phase: Phase) -> None:
    phases = {"image": Phase.FINISHED, "auth": phase, "retire": Phase.IDLE}
    order = order_of("posts", NEEDS)
    assert str(out_of_turn(Direction.EXECUTE, order, phases)).endswith("not done: auth")
    assert out_of_turn(Direction.UNDO, order, phases) is None
    phases["auth"] = Phase.FINISHED
    assert out_of_turn(Direction.EXECUTE, order, phases) is None


@pytest.mark.parametrize("phase", [Phase.FORWARD, Phase.BACK, Phase.FINISHED])
def test_a_step_goes_back_after_those_that_need_it_the_last_first(phase: Phase) -> None:
    phases = {"posts": phase, "retire": phase}
    order = order_of("auth", NEEDS)
    assert "undo retire, posts first" in str(out_of_turn(Direction.UNDO, order, phases))
    assert out_of_turn(Direction.EXECUTE, order, phases) is None
    assert out_of_turn(Direction.UNDO, order, dict.fromkeys(phases, Phase.IDLE)) is None
