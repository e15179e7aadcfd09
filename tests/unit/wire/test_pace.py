"""A body's pace: what is too slow, what is not, and whose time counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy.wire.pace import NEVER, Pace

RATE, GRACE_S = 500, 20.0


def running(at: float = 0.0) -> Pace:
    pace = Pace(RATE, GRACE_S)
    pace.run(at)
    return pace


def test_silence_is_too_slow_after_the_grace() -> None:
    assert running(7).until == 27


def test_byte_a_second_is_too_slow_hardly_later_than_silence() -> None:
    pace = running()
    for second in range(1, 20):
        pace.came(1, second)
    assert GRACE_S < pace.until < GRACE_S + 0.1


def test_much_at_the_beginning_pays_for_no_slow_end() -> None:
    pace = running()
    pace.came(10**9, 0.1)
    assert pace.until == pytest.approx(0.1 + GRACE_S)


def test_body_at_the_least_rate_is_never_too_slow() -> None:
    pace = running()
    for second in range(1, 3600):
        assert second < pace.until
        pace.came(RATE, second)


def test_pause_as_long_as_the_grace_is_forgiven_once_it_is_made_good() -> None:
    pace = running()
    now = 0.0
    for _ in range(50):
        now += GRACE_S - 0.1
        assert now < pace.until
        pace.came(int(RATE * GRACE_S), now)


def test_time_in_which_nothing_is_read_does_not_count() -> None:
    pace = running()
    pace.stand(15)
    assert pace.until == NEVER
    pace.stand(500)
    pace.run(1000)
    pace.run(1001)
    assert pace.until == 1005


def test_what_comes_while_it_stands_counts() -> None:
    pace = running()
    pace.stand(15)
    pace.came(1000, 100)
    pace.run(200)
    assert pace.until == 207


STEPS = st.lists(
    st.tuples(st.floats(0, 15), st.integers(0, 20_000), st.booleans()), min_size=1, max_size=40
)


@given(STEPS)
def test_nobody_who_was_above_the_rate_since_any_moment_is_too_slow(
    steps: list[tuple[float, int, bool]],
) -> None:
    """Against the definition: too slow is who is behind by the grace since some moment."""
    pace, now, behind_s, is_read = running(), 0.0, 0.0, True
    for seconds, size, reads in steps:
        now += seconds
        if is_read:
            behind_s += seconds
            assert (now > pace.until + 1e-6) <= (behind_s > GRACE_S)
            assert (now < pace.until - 1e-6) <= (behind_s < GRACE_S)
        else:
            assert pace.until == NEVER
        pace.came(size, now)
        behind_s = max(0.0, behind_s - size / RATE)
        (pace.run if reads else pace.stand)(now)
        is_read = reads
