"""What is allowed, what is told, and when asking again succeeds; counted in memory."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy.config import LimitStore, RateLimit
from strangler_proxy.policies.rate_limit import RateLimiter, Verdict

ANN, BEN = b"198.51.100.1", b"198.51.100.2"


class Clock:
    """A time that the test sets."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Asking:
    """A limiter in private memory, asked about one route with fixed limits."""

    def __init__(self, limiter: RateLimiter, *limits: str, by: tuple[str, ...] = ()) -> None:
        self.limiter = limiter
        kinds = by or ("client",) * len(limits)
        pairs = zip(limits, kinds, strict=True)
        self.limits = tuple(RateLimit(limit=limit, by=kind) for limit, kind in pairs)

    def __call__(self, *callers: bytes, route: str = "upload") -> Verdict:
        verdict = self.limiter.check(route, self.limits, callers or (ANN,) * len(self.limits))
        assert isinstance(verdict, Verdict)
        return verdict


@contextmanager
def limiting(clock: Clock, entries: int = 1024) -> Iterator[RateLimiter]:
    """A limiter in this process's memory."""
    limiter = RateLimiter(LimitStore(entries=entries), None, clock)
    try:
        yield limiter
    finally:
        asyncio.run(limiter.close())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> Iterator[RateLimiter]:
    with limiting(clock) as made:
        yield made


def told(verdict: Verdict) -> dict[str, int]:
    """The header lines, read as a client reads them."""
    lines = verdict.headers.decode().split("\r\n")
    assert lines.pop() == "", "every line has its end"
    return {name: int(value) for name, value in (line.split(": ") for line in lines)}


def test_allowed_requests_are_counted_down_and_the_next_is_refused(
    limiter: RateLimiter, clock: Clock
) -> None:
    ask = Asking(limiter, "3/minute")
    clock.now = 60 * 1000 + 18.0
    answers = [ask() for _ in range(4)]
    assert [answer.allowed for answer in answers] == [True, True, True, False]
    assert [told(answer)["RateLimit-Remaining"] for answer in answers] == [2, 1, 0, 0]
    assert told(answers[0]) == {
        "RateLimit-Limit": 3,
        "RateLimit-Remaining": 2,
        "RateLimit-Reset": 43,
    }
    assert answers[0].retry_after_s is None
    assert answers[3].retry_after_s == told(answers[3])["RateLimit-Reset"] == 43
    assert not answers[3].unavailable


def test_callers_routes_and_limits_are_counted_apart(limiter: RateLimiter) -> None:
    ask, other = Asking(limiter, "1/minute"), Asking(limiter, "1/hour")
    assert ask(ANN).allowed
    assert not ask(ANN).allowed
    assert ask(BEN).allowed
    assert ask(ANN, route="login").allowed
    assert other(ANN).allowed


def test_a_header_and_an_address_that_read_the_same_are_two_callers(limiter: RateLimiter) -> None:
    ask = Asking(limiter, "1/minute", "1/minute", by=("client", "header:x-key"))
    assert ask(ANN, ANN).allowed
    assert not ask(BEN, ANN).allowed
    assert ask(BEN, BEN).allowed


def test_a_limit_by_route_counts_all_callers_together(limiter: RateLimiter) -> None:
    ask = Asking(limiter, "2/minute", by=("route",))
    assert [ask(caller).allowed for caller in (ANN, BEN, b"")] == [True, True, False]


def test_a_limit_written_twice_counts_once(limiter: RateLimiter) -> None:
    ask = Asking(limiter, "2/minute", "2/minute")
    assert [ask().allowed for _ in range(3)] == [True, True, False]


def test_no_limits_allow_everything_and_tell_nothing(limiter: RateLimiter) -> None:
    assert limiter.check("upload", (), ()) == Verdict(True, b"", None)


@pytest.mark.parametrize("caller", [b"", b"\0", b"\xff\xfe/\r\n", b"a" * 100_000])
def test_a_caller_may_be_any_bytes(limiter: RateLimiter, caller: bytes) -> None:
    ask = Asking(limiter, "1/minute")
    assert [ask(caller).allowed for _ in range(2)] == [True, False]
    assert ask(caller + b"'").allowed


def test_the_highest_limit_that_can_be_configured_is_counted(
    limiter: RateLimiter, clock: Clock
) -> None:
    ask = Asking(limiter, "999999999 per 99999 days")
    assert told(ask())["RateLimit-Remaining"] == 999_999_998
    clock.now += 99_999 * 86_400
    assert told(ask())["RateLimit-Remaining"] == 999_999_998


def test_a_changed_limit_is_followed_and_the_old_one_too_when_it_comes_back(
    limiter: RateLimiter,
) -> None:
    old, new = Asking(limiter, "1/minute"), Asking(limiter, "2/minute")
    assert [ask().allowed for ask in (old, old, new, new, new, old)] == [
        *(True, False),
        *(True, True, False),
        False,
    ]


def test_a_request_that_one_limit_refuses_takes_nothing_from_another(
    limiter: RateLimiter, clock: Clock
) -> None:
    both = Asking(limiter, "1/minute", "10/hour", by=("client", "subject"))
    assert [both(ANN, b"7").allowed for _ in range(20)] == [True] + [False] * 19
    assert told(both(BEN, b"7"))["RateLimit-Remaining"] == 0
    # Of the subject's ten, two are used.
    assert sum(both(b"%d" % host, b"7").allowed for host in range(20)) == 8


def test_the_limit_with_the_smallest_share_left_is_told(limiter: RateLimiter) -> None:
    ask = Asking(limiter, "100/minute", "4/hour")
    answers = [told(ask()) for _ in range(4)]
    assert [answer["RateLimit-Limit"] for answer in answers] == [4] * 4
    assert [answer["RateLimit-Remaining"] for answer in answers] == [3, 2, 1, 0]


def test_the_limit_that_refuses_longest_is_told(limiter: RateLimiter, clock: Clock) -> None:
    clock.now = 3600.0 * 24 * 100
    ask = Asking(limiter, "1/minute", "1/day", "1/hour")
    ask()
    refused = ask()
    assert refused.retry_after_s == 86_401
    assert told(refused)["RateLimit-Limit"] == 1


GAPS = st.lists(
    st.one_of(st.just(0.0), st.floats(0, 0.5), st.floats(0, 30), st.sampled_from([10.0, 9.999999])),
    min_size=1,
    max_size=60,
)
AMOUNTS = st.integers(1, 7)
WINDOW_S = 10


def _share(moments: list[float], now: float) -> Fraction:
    """The weighted count as it is defined, from the moments of the requests allowed before."""
    number = math.floor(now / WINDOW_S)
    per_window = Counter(math.floor(moment / WINDOW_S) for moment in moments)
    left = Fraction((number + 1) * WINDOW_S) - Fraction(math.floor(now * 1_000_000), 1_000_000)
    return per_window[number] + Fraction(math.floor(per_window[number - 1] * left / WINDOW_S))


@given(GAPS, AMOUNTS)
def test_decides_as_the_definition_does_for_any_arrivals(gaps: list[float], amount: int) -> None:
    clock = Clock(0)
    with limiting(clock) as limiter:
        ask, moments = Asking(limiter, f"{amount} per {WINDOW_S} seconds"), []
        for gap in gaps:
            clock.now += gap
            expected = _share(moments, clock.now) < amount
            assert ask().allowed is expected
            if expected:
                moments.append(clock.now)


@given(GAPS, AMOUNTS)
def test_bounds_hold_for_any_arrivals(gaps: list[float], amount: int) -> None:
    clock = Clock(0)
    with limiting(clock) as limiter:
        ask, moments = Asking(limiter, f"{amount} per {WINDOW_S} seconds"), []
        for gap in gaps:
            clock.now += gap
            if ask().allowed:
                moments.append(clock.now)
            else:
                # Never refused for nothing: so many were allowed in the last two windows.
                assert sum(clock.now - 2 * WINDOW_S < moment for moment in moments) >= amount
    assert max(Counter(math.floor(moment / WINDOW_S) for moment in moments).values()) <= amount
    for end in moments:
        assert sum(end - WINDOW_S < moment <= end for moment in moments) <= 2 * amount


@given(GAPS, st.tuples(AMOUNTS, AMOUNTS, AMOUNTS), st.floats(0, 1e9))
def test_asking_again_after_retry_after_succeeds(
    gaps: list[float], amounts: tuple[int, int, int], start: float
) -> None:
    clock = Clock(start)
    limits = (
        f"{amounts[0]} per 10 seconds",
        f"{amounts[1]} per 7 seconds",
        f"{amounts[2]} per 1 minutes",
    )
    with limiting(clock) as limiter:
        ask = Asking(limiter, *limits)
        for gap in gaps:
            clock.now += gap
            verdict = ask()
            if not verdict.allowed:
                assert verdict.retry_after_s is not None
                assert 1 <= verdict.retry_after_s <= 121
                clock.now += verdict.retry_after_s
                assert ask().allowed


def test_a_full_table_forgets_who_would_be_forgotten_first_and_counts_it(clock: Clock) -> None:
    with limiting(clock) as limiter:
        long, short = Asking(limiter, "1/day"), Asking(limiter, "1/minute")
        for number in range(100):
            assert long(b"%d" % number).allowed
        assert limiter.dropped == 0
        for number in range(4000):
            assert short(b"%d" % number).allowed
        assert limiter.dropped >= 3076  # 4100 callers, 1024 entries
        # Those that are kept longer are still there.
        assert not any(long(b"%d" % number).allowed for number in range(100))


def test_entries_that_have_expired_make_room_without_loss(clock: Clock) -> None:
    with limiting(clock) as limiter:
        ask = Asking(limiter, "1/second")
        for number in range(20_000):
            clock.now += 0.02  # a hundred callers within the two windows
            assert ask(b"%d" % number).allowed
        assert limiter.dropped == 0


@pytest.mark.parametrize("windows", [2, 14, 15, 16, 17, 31, 1000])
def test_a_caller_who_comes_back_after_many_windows_starts_anew(
    limiter: RateLimiter, clock: Clock, windows: int
) -> None:
    ask = Asking(limiter, "2/minute")
    assert [ask().allowed for _ in range(3)] == [True, True, False]
    clock.now += windows * 60
    assert [ask().allowed for _ in range(3)] == [True, True, False]


def test_a_clock_a_little_behind_grants_nothing_more(limiter: RateLimiter, clock: Clock) -> None:
    ask = Asking(limiter, "2/minute")
    clock.now = 60.0 * 1000
    assert [ask().allowed for _ in range(3)] == [True, True, False]
    clock.now -= 0.1
    assert [ask().allowed for _ in range(3)] == [False] * 3
    clock.now += 0.1
    assert not ask().allowed
