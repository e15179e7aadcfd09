"""What hangs is given up while the hold lasts, with time left for the way back."""

from __future__ import annotations

import pytest

from strangler_proxy.handover.patience import CALM_S, LEAST_S, Patience


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_each_question_under_a_hold_leaves_half_of_the_rest_to_the_next() -> None:
    clock = Clock()
    patience = Patience(clock)
    patience.begin(8.0)
    shares = []
    for _ in range(4):
        shares.append(patience.share_s())
        clock.now += shares[-1]
    assert shares == [4.0, 2.0, 1.0, LEAST_S]
    assert clock.now <= 108.0


@pytest.mark.parametrize(
    ("left_s", "share_s"), [(0.2, LEAST_S), (0.0, LEAST_S), (-0.9, LEAST_S), (-1.1, CALM_S)]
)
def test_a_moment_is_given_also_behind_the_end_and_calm_once_it_is_long_over(
    left_s: float, share_s: float
) -> None:
    clock = Clock()
    patience = Patience(clock)
    patience.begin(2.0)
    clock.now += 2.0 - left_s
    assert patience.share_s() == share_s


def test_nobody_waits_where_nothing_is_held() -> None:
    patience = Patience(Clock())
    assert patience.share_s() == CALM_S
    patience.begin(2.0)
    patience.end()
    assert patience.share_s() == CALM_S
