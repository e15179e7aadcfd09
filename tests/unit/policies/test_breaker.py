"""A breaker lets one probe through when its time has come, and nothing before; several objects over
one row, as workers have them, are one breaker."""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import Any, overload

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from strangler_proxy.config import Breaker as Settings
from strangler_proxy.policies.breaker import CELLS, CLOSED, OPEN, Breaker

NOW = 1000.0
FIVE = Settings(failures=5, open_s=60)
RATIO = Settings(ratio=0.5, least_requests=10, window_s=10, open_s=60)


def opened(settings: Settings = FIVE, cells: MutableSequence[float] | None = None) -> Breaker:
    breaker = Breaker(settings, cells)
    for _ in range(settings.failures):
        breaker.failed(NOW)
    assert breaker.state(NOW) == "open"
    return breaker


def probing(settings: Settings = FIVE) -> tuple[Breaker, float]:
    breaker = opened(settings)
    ticket = breaker.admit(NOW + settings.open_s)
    assert ticket not in (CLOSED, OPEN)
    return breaker, ticket


def test_failures_in_a_row_open_it_and_the_last_of_them_says_so() -> None:
    breaker = Breaker(FIVE)
    assert [breaker.failed(NOW) for _ in range(5)] == [False] * 4 + [True]
    assert breaker.admit(NOW) == OPEN
    assert (breaker.state(NOW), breaker.opened) == ("open", 1)


def test_success_in_between_begins_the_count_anew() -> None:
    breaker = Breaker(FIVE)
    for _ in range(3):
        for _ in range(4):
            assert not breaker.failed(NOW)
        breaker.succeeded(NOW)
    assert breaker.admit(NOW) == CLOSED


def test_open_breaker_admits_nobody_until_its_time_and_then_exactly_one() -> None:
    breaker = opened()
    assert breaker.admit(NOW + 59.9) == OPEN
    assert breaker.wait_s(NOW + 59) == pytest.approx(1)
    assert breaker.state(NOW + 60) == "half-open"
    assert breaker.admit(NOW + 60) not in (CLOSED, OPEN)
    assert [breaker.admit(NOW + 60 + wait) for wait in (0, 1, 59.9)] == [OPEN] * 3


def test_good_probe_closes_it_and_a_bad_one_opens_it_for_as_long_again() -> None:
    breaker, ticket = probing()
    breaker.succeeded(NOW + 61, ticket)
    assert (breaker.admit(NOW + 61), breaker.state(NOW + 61)) == (CLOSED, "closed")
    breaker, ticket = probing()
    assert breaker.failed(NOW + 70, ticket)
    assert (breaker.admit(NOW + 129), breaker.opened) == (OPEN, 2)
    assert breaker.admit(NOW + 130) not in (CLOSED, OPEN)


def test_probe_without_an_outcome_lets_another_probe_at_once() -> None:
    breaker, ticket = probing()
    breaker.release(ticket)
    assert breaker.state(NOW + 60) == "half-open"
    assert breaker.admit(NOW + 60) not in (CLOSED, OPEN)


def test_closed_again_it_takes_as_many_failures_as_ever() -> None:
    breaker, ticket = probing()
    breaker.succeeded(NOW + 60, ticket)
    assert [breaker.failed(NOW + 60) for _ in range(5)] == [False] * 4 + [True]


def test_nobody_is_told_to_wait_for_the_longest_time_that_a_probe_may_take() -> None:
    breaker = opened(Settings(open_s=5))
    assert breaker.admit(NOW + 5, longest_s=600) not in (CLOSED, OPEN)
    assert breaker.wait_s(NOW + 6) == 5


def test_what_was_sent_before_it_opened_changes_nothing() -> None:
    for breaker in (opened(), probing()[0]):
        before = breaker.state(NOW + 60), breaker.wait_s(NOW + 60), breaker.opened
        breaker.succeeded(NOW + 60)
        assert not any(breaker.failed(NOW + 60) for _ in range(20))
        assert (breaker.state(NOW + 60), breaker.wait_s(NOW + 60), breaker.opened) == before


def test_probe_whose_process_died_bars_others_for_the_time_it_may_have_taken() -> None:
    breaker = opened(Settings(open_s=5))
    assert breaker.admit(NOW + 5, longest_s=62) not in (CLOSED, OPEN)
    assert breaker.admit(NOW + 66.9, longest_s=62) == OPEN
    assert breaker.admit(NOW + 67, longest_s=62) not in (CLOSED, OPEN)


@pytest.mark.parametrize("end", ["succeeded", "failed", "release"])
def test_probe_that_took_so_long_that_another_was_sent_changes_nothing(end: str) -> None:
    breaker, late = probing()
    second = breaker.admit(NOW + 120)
    assert second not in (CLOSED, OPEN)
    if end == "release":
        breaker.release(late)
    else:
        getattr(breaker, end)(NOW + 121, late)
    assert breaker.admit(NOW + 121) == OPEN
    breaker.succeeded(NOW + 122, second)
    assert breaker.admit(NOW + 122) == CLOSED


def test_failure_of_a_late_probe_is_one_failure_once_another_has_closed_it() -> None:
    breaker, late = probing()
    breaker.succeeded(NOW + 121, breaker.admit(NOW + 120))
    assert not breaker.failed(NOW + 121, late)
    assert breaker.admit(NOW + 121) == CLOSED


def test_operator_decides_whatever_happens_and_auto_begins_anew_as_closed() -> None:
    breaker = Breaker(FIVE)
    breaker.force("open")
    breaker.succeeded(NOW)
    assert (breaker.admit(NOW), breaker.state(NOW), breaker.forced) == (OPEN, "open", "open")
    assert breaker.admit(NOW + 10_000) == OPEN
    breaker.force("closed")
    assert not any(breaker.failed(NOW) for _ in range(20))
    assert (breaker.admit(NOW), breaker.state(NOW), breaker.forced) == (CLOSED, "closed", "closed")
    assert breaker.opened == 0
    breaker.force("auto")
    assert (breaker.admit(NOW), breaker.forced) == (CLOSED, None)
    assert [breaker.failed(NOW) for _ in range(5)] == [False] * 4 + [True]


def test_probe_that_fails_after_an_operator_began_anew_is_one_failure() -> None:
    breaker, ticket = probing()
    breaker.force("auto")
    assert not breaker.failed(NOW + 61, ticket)
    assert breaker.admit(NOW + 61) == CLOSED


def test_probe_that_fails_does_not_overrule_an_operator() -> None:
    breaker, ticket = probing()
    breaker.force("closed")
    breaker.failed(NOW + 61, ticket)
    assert breaker.admit(NOW + 61) == CLOSED


# --- by ratio


def count(breaker: Breaker, at: float, good: int, bad: int) -> bool:
    for _ in range(good):
        breaker.succeeded(at)
    return any(breaker.failed(at) for _ in range(bad))


def test_ratio_opens_it_only_with_enough_requests() -> None:
    assert not count(Breaker(RATIO), NOW, good=0, bad=9)
    assert count(Breaker(RATIO), NOW, good=0, bad=10)
    assert count(Breaker(RATIO), NOW, good=5, bad=5)
    assert not count(Breaker(RATIO), NOW, good=11, bad=10)


def test_failures_in_a_row_do_not_open_one_that_goes_by_ratio() -> None:
    assert not count(Breaker(RATIO), NOW, good=100, bad=50)


def test_window_forgets() -> None:
    breaker = Breaker(RATIO)
    assert not count(breaker, NOW, good=0, bad=9)
    assert not count(breaker, NOW + 10, good=0, bad=9)
    assert not count(breaker, NOW + 30, good=0, bad=9)
    assert count(breaker, NOW + 34, good=0, bad=1)


def test_half_a_window_back_still_counts() -> None:
    breaker = Breaker(RATIO)
    assert not count(breaker, NOW, good=0, bad=6)
    assert not count(breaker, NOW + 6, good=0, bad=3)
    assert count(breaker, NOW + 7, good=0, bad=1)


def test_worker_whose_clock_was_read_earlier_does_not_wipe_the_window() -> None:
    cells = [0.0] * CELLS
    ahead, behind = Breaker(RATIO, cells), Breaker(RATIO, cells)
    assert not count(ahead, NOW, good=0, bad=6)
    assert not count(ahead, NOW + 5, good=0, bad=1)  # the window has moved on by a half
    assert not count(behind, NOW + 4.9, good=0, bad=2)
    assert count(ahead, NOW + 5, good=0, bad=1)


def test_answers_to_what_was_sent_before_are_not_in_the_window_of_the_next_time() -> None:
    breaker = Breaker(RATIO)
    assert count(breaker, NOW, good=0, bad=10)
    count(breaker, NOW + 59, good=100, bad=0)
    breaker.succeeded(NOW + 61, breaker.admit(NOW + 60))
    assert count(breaker, NOW + 61, good=0, bad=10)


# --- shared with others that look without the guard


class Watched(list[float]):
    """A row in which somebody looks after every single change."""

    def __init__(self) -> None:
        super().__init__([0.0] * CELLS)
        self.at: float | None = None
        self.seen: list[float] = []

    @overload
    def __setitem__(self, key: Any, value: float) -> None: ...
    @overload
    def __setitem__(self, key: Any, value: Any) -> None: ...
    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        if self.at is not None:
            self.seen.append(Breaker(FIVE, list(self)).admit(self.at))


def test_at_no_moment_of_opening_again_does_it_look_closed() -> None:
    cells = Watched()
    breaker = opened(FIVE, cells)
    ticket = breaker.admit(NOW + 60)
    cells.at = NOW + 60
    assert breaker.failed(NOW + 60, ticket)
    assert cells.seen
    assert set(cells.seen) == {OPEN}


class SharedBreaker(RuleBasedStateMachine):
    """Three workers with one row. The model is the trade's own table of states."""

    tickets = Bundle("tickets")
    OPEN_S, LONGEST_S, FAILURES = 10.0, 15.0, 3

    def __init__(self) -> None:
        super().__init__()
        cells = [0.0] * CELLS
        wanted = Settings(failures=self.FAILURES, open_s=self.OPEN_S)
        self.workers = [Breaker(wanted, cells) for _ in range(3)]
        self.now = NOW
        self.in_a_row = 0
        self.open_until = 0.0
        self.probe: tuple[float, float] | None = None  # its ticket, and when it is given up

    worker = st.integers(0, 2)

    @rule(seconds=st.sampled_from([0.0, 0.1, 5.0, 10.0, 15.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=tickets, worker=worker)
    def somebody_asks(self, worker: int) -> Any:
        said = self.workers[worker].admit(self.now, self.LONGEST_S)
        under_way = self.probe is not None and self.now < self.probe[1]
        if not self.open_until:
            assert said == CLOSED
        elif self.now < self.open_until or under_way:
            assert said == OPEN, "two probes, or one too early"
        else:
            assert said not in (CLOSED, OPEN), "its time has come, and nobody may probe"
            self.probe = said, self.now + self.LONGEST_S
            return said
        return multiple()

    @rule(worker=worker, good=st.booleans())
    def answer_without_a_ticket(self, worker: int, good: bool) -> None:
        self._answer(self.workers[worker], 0.0, good)

    @rule(worker=worker, ticket=consumes(tickets), good=st.sampled_from([True, False, None]))
    def probe_ends(self, worker: int, ticket: float, good: bool | None) -> None:
        if good is not None:
            self._answer(self.workers[worker], ticket, good)
            return
        self.workers[worker].release(ticket)
        if self.probe is not None and self.probe[0] == ticket:
            self.probe = None

    def _answer(self, breaker: Breaker, ticket: float, good: bool) -> None:
        decides = bool(ticket) and self.probe is not None and self.probe[0] == ticket
        opens = False
        if good:
            breaker.succeeded(self.now, ticket)
        else:
            opens = breaker.failed(self.now, ticket)
        if decides:
            self.probe, self.in_a_row = None, 0
            self.open_until = 0.0 if good else self.now + self.OPEN_S
            assert opens is not good
        elif not self.open_until and not (good and ticket):
            self.in_a_row = 0 if good else self.in_a_row + 1
            assert opens == (self.in_a_row == self.FAILURES)
            if opens:
                self.open_until, self.in_a_row = self.now + self.OPEN_S, 0

    @invariant()
    def all_workers_say_the_same_and_do_not_make_anybody_wait_for_ever(self) -> None:
        closed = not self.open_until
        for breaker in self.workers:
            state = breaker.state(self.now)
            expected = "closed" if closed else "open" if self.now < self.open_until else "half-open"
            assert state == expected
            assert breaker.wait_s(self.now) <= self.LONGEST_S


TestSharedBreaker = SharedBreaker.TestCase
TestSharedBreaker.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, database=None
)
