"""The arithmetic of the sliding window counter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy.policies.rate_limit.window import SECOND_US, Window, used, wait_us


def later(window: Window, passed_us: int) -> Window:
    """The same counts, seen some time later, when nobody has asked."""
    previous, current, left_us, window_us = window
    while passed_us >= left_us:
        passed_us -= left_us
        previous, current, left_us = current, 0, window_us
    return Window(previous, current, left_us - passed_us, window_us)


@st.composite
def windows(draw: st.DrawFn) -> tuple[Window, int]:
    """A window as it may be, and its limit; the limit may have been lowered since."""
    amount = draw(st.one_of(st.integers(1, 20), st.integers(1, 10**9 - 1)))
    window_us = draw(st.sampled_from([1, 7, 60, 3600, 86_400 * 99_999])) * SECOND_US
    count = st.one_of(st.integers(0, amount), st.integers(0, 2**30))
    return Window(draw(count), draw(count), draw(st.integers(1, window_us)), window_us), amount


@given(windows())
def test_the_wait_is_the_least_after_which_one_more_is_allowed(case: tuple[Window, int]) -> None:
    window, amount = case
    wait = wait_us(window, amount)
    assert used(later(window, wait)) < amount
    assert (wait == 0) == (used(window) < amount)
    if wait:
        assert used(later(window, wait - 1)) >= amount


@given(windows(), st.integers(0, 2 * 86_400 * SECOND_US), st.integers(0, 86_400 * SECOND_US))
def test_what_is_used_only_falls_with_time(
    case: tuple[Window, int], sooner: int, more: int
) -> None:
    window, _ = case
    assert used(later(window, sooner + more)) <= used(later(window, sooner)) <= used(window)
