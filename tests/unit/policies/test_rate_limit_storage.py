"""The shared table under the names of `limits`: the library's own strategy decides as we do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import RateLimitItemPerSecond
from limits.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    SlidingWindowCounterRateLimiter,
)

from strangler_proxy.config import LimitStore
from strangler_proxy.policies.rate_limit import shared_bytes
from strangler_proxy.policies.rate_limit.storage import SharedMemoryStorage


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def storage(clock: Clock) -> Iterator[SharedMemoryStorage]:
    made = SharedMemoryStorage(shared_bytes(LimitStore(entries=1024)), None, clock)
    yield made
    made.close()


@given(
    # Halves and quarters of seconds: the library's floats are exact there.
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 4)), min_size=1, max_size=60),
    st.integers(1, 6),
)
def test_the_librarys_test_foretells_our_hit_for_any_arrivals_and_costs(
    arrivals: list[tuple[int, int]], amount: int
) -> None:
    clock = Clock()
    storage = SharedMemoryStorage(shared_bytes(LimitStore(entries=1024)), None, clock)
    strategy, item = SlidingWindowCounterRateLimiter(storage), RateLimitItemPerSecond(amount, 8)
    for quarters, cost in arrivals:
        clock.now += quarters / 4
        before = strategy.get_window_stats(item, "ann").remaining
        foretold = strategy.test(item, "ann", cost=cost)
        assert strategy.hit(item, "ann", cost=cost) is foretold
        after = strategy.get_window_stats(item, "ann").remaining
        assert after == (before - cost if foretold else before)
    storage.close()


def test_a_cleared_key_starts_anew_and_others_do_not(storage: SharedMemoryStorage) -> None:
    strategy, item = SlidingWindowCounterRateLimiter(storage), RateLimitItemPerSecond(1, 60)
    assert strategy.hit(item, "ann")
    assert strategy.hit(item, "ben")
    strategy.clear(item, "ann")
    strategy.clear(item, "nobody")
    assert strategy.hit(item, "ann")
    assert not strategy.hit(item, "ben")
    assert storage.check()


def test_more_than_can_be_counted_is_an_error_and_not_a_wrong_count(
    storage: SharedMemoryStorage,
) -> None:
    strategy = SlidingWindowCounterRateLimiter(storage)
    with pytest.raises(ValueError, match="more than can be counted"):
        strategy.hit(RateLimitItemPerSecond(2**30, 60), "ann")


def test_other_strategies_are_refused_and_not_miscounted(storage: SharedMemoryStorage) -> None:
    with pytest.raises(NotImplementedError):
        FixedWindowRateLimiter(storage).hit(RateLimitItemPerSecond(1, 60), "ann")
    with pytest.raises(NotImplementedError):
        MovingWindowRateLimiter(storage)
