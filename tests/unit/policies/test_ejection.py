"""An address that fails is left out for a while, each time for longer, and forgiven in time."""

from __future__ import annotations

from strangler_proxy.config import Ejection
from strangler_proxy.policies.ejection import Standing

NOW = 1000.0
SETTINGS = Ejection(failures=3, for_s=10, longest_s=35)


def left_out_for(standing: Standing, now: float) -> float | None:
    """Fail three times; how long it is left out for, None if it is not."""
    ejected = [standing.failed(now, SETTINGS) for _ in range(3)]
    assert ejected[:2] == [False, False]
    return standing.until - now if ejected[2] else None


def test_failures_in_a_row_leave_it_out_and_it_says_so_once() -> None:
    standing = Standing()
    assert standing.until == 0
    assert left_out_for(standing, NOW) == 10
    assert not standing.failed(NOW, SETTINGS)


def test_good_answer_in_between_begins_the_count_anew() -> None:
    standing = Standing()
    for _ in range(3):
        assert not standing.failed(NOW, SETTINGS)
        assert not standing.failed(NOW, SETTINGS)
        standing.succeeded(NOW, SETTINGS)
    assert standing.until == 0


def test_each_time_is_twice_as_long_up_to_the_longest() -> None:
    standing, now, times = Standing(), NOW, []
    for _ in range(4):
        times.append(left_out_for(standing, now))
        now = standing.until
    assert times == [10, 20, 35, 35]


def test_hundred_ejections_overflow_nothing() -> None:
    standing, now = Standing(), NOW
    for _ in range(2000):
        left_out_for(standing, now)
        now = standing.until
    assert standing.until - now <= 35


def test_one_that_held_for_as_long_again_has_a_clean_record() -> None:
    standing = Standing()
    left_out_for(standing, NOW)
    standing.succeeded(NOW + 15, SETTINGS)
    assert left_out_for(standing, NOW + 15) == 20
    standing.succeeded(NOW + 36, SETTINGS)
    standing.succeeded(NOW + 46, SETTINGS)
    assert left_out_for(standing, NOW + 46) == 10


def test_failures_of_requests_sent_before_it_was_left_out_are_not_held_against_it_later() -> None:
    standing = Standing()
    left_out_for(standing, NOW)
    for _ in range(50):
        assert not standing.failed(NOW + 5, SETTINGS)
    assert standing.until == NOW + 10
    assert not standing.failed(NOW + 10, SETTINGS)
