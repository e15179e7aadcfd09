"""The breaker's states, on a clock of the test's own and with real threads."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from extracted.chassis.breaker import Breaker
from extracted.chassis.unavailable import BreakerOpenError, ServiceUnavailableError


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("images", clock=clock)


def calls(breaker: Breaker, *failed: bool | None) -> None:
    for each in failed:
        breaker.report(breaker.admit(), each)


def opened(breaker: Breaker) -> Breaker:
    calls(breaker, *[True] * 5)
    assert breaker.state == "open"
    return breaker


def test_only_failures_in_a_row_open_it(breaker: Breaker) -> None:
    calls(breaker, True, True, True, True, False, True, True, True, True)
    assert breaker.state == "closed"
    calls(breaker, True)
    assert breaker.state == "open"


def test_an_open_one_refuses_and_says_how_long(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.now += 20
    with pytest.raises(ServiceUnavailableError, match=r"images .* 40\.0 s") as refused:
        breaker.admit()
    assert isinstance(refused.value, BreakerOpenError)
    assert refused.value.retry_after_s == pytest.approx(40)


def test_a_good_probe_closes_it_and_the_count_begins_anew(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.now += 60
    calls(breaker, False)
    assert breaker.state == "closed"
    calls(breaker, True, True, True, True)
    assert breaker.state == "closed"


def test_a_bad_probe_opens_it_for_the_whole_time_again(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.now += 61
    calls(breaker, True)
    clock.now += 59
    with pytest.raises(BreakerOpenError) as refused:
        breaker.admit()
    assert refused.value.retry_after_s == pytest.approx(1)


def test_a_probe_that_says_nothing_makes_room_for_the_next(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.now += 60
    calls(breaker, None)
    assert breaker.state == "half-open"
    calls(breaker, False)
    assert breaker.state == "closed"


def test_what_began_before_it_opened_neither_closes_nor_prolongs_it(
    breaker: Breaker, clock: Clock
) -> None:
    late = [breaker.admit(), breaker.admit(), breaker.admit()]
    opened(breaker)
    clock.now += 59
    breaker.report(late[0], False)
    breaker.report(late[1], True)
    assert breaker.state == "open"
    clock.now += 1
    probe = breaker.admit()
    breaker.report(late[2], False)
    assert breaker.state == "half-open"
    with pytest.raises(BreakerOpenError):
        breaker.admit()  # the late report has not taken the probe's place
    breaker.report(probe, False)
    assert breaker.state == "closed"


def test_of_many_threads_one_probes_and_the_rest_are_refused(
    breaker: Breaker, clock: Clock
) -> None:
    opened(breaker)
    clock.now += 60
    together = threading.Barrier(16)

    def attempt() -> int | BreakerOpenError:
        together.wait(10)
        try:
            return breaker.admit()
        except BreakerOpenError as refused:
            return refused

    with ThreadPoolExecutor(16) as pool:
        results = [each.result(10) for each in [pool.submit(attempt) for _ in range(16)]]
    admitted = [each for each in results if isinstance(each, int)]
    assert len(admitted) == 1
    refusals = [each for each in results if isinstance(each, BreakerOpenError)]
    assert {each.retry_after_s for each in refusals} == {1.0}
    breaker.report(admitted[0], False)
    assert breaker.state == "closed"


def test_no_failure_of_many_threads_is_lost(clock: Clock) -> None:
    breaker = Breaker("images", failures=801, clock=clock)
    with ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(calls, breaker, *[True] * 100) for _ in range(8)]:
            each.result(10)
    assert breaker.state == "closed"
    calls(breaker, True)
    assert breaker.state == "open"


def test_it_tells_when_it_opens_and_when_it_closes(
    breaker: Breaker, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    opened(breaker)
    clock.now += 60
    calls(breaker, False)
    told = [record.getMessage() for record in caplog.records]
    assert told == ["images keeps failing; left alone for 60 s", "images answers again"]
