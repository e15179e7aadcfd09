"""Which calls are tried again, and after how long."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from extracted.chassis.retries import Outcome, delay_s, may_repeat, retry_after_s

NOW = datetime(2026, 11, 24, 7, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("status", [200, 201, 302, 400, 404, 409, 429, 500, 501])
def test_an_answer_that_will_not_pass_is_final(status: int) -> None:
    assert not may_repeat(Outcome(status), repeatable=True)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_answer_that_may_pass_is_asked_for_again_only_where_that_is_safe(status: int) -> None:
    assert may_repeat(Outcome(status), repeatable=True)
    assert not may_repeat(Outcome(status), repeatable=False)


def test_a_connection_that_never_was_is_tried_again_whatever_it_was_for() -> None:
    assert may_repeat(Outcome(error=requests.ConnectTimeout()), repeatable=False)
    assert not may_repeat(Outcome(error=requests.ReadTimeout()), repeatable=False)
    assert not may_repeat(Outcome(error=requests.ConnectionError()), repeatable=False)
    assert may_repeat(Outcome(error=requests.ConnectionError()), repeatable=True)


def test_failures_are_the_services_own_and_4xx_is_none() -> None:
    failed = [status for status in range(200, 600) if Outcome(status).failed]
    assert failed == [500, 502, 503, 504]
    assert Outcome(error=requests.ReadTimeout()).failed


@given(tries=st.integers(1, 50), seed=st.integers())
def test_the_wait_doubles_within_its_bound_and_is_never_all_chance(tries: int, seed: int) -> None:
    full = min(0.1 * 2 ** (tries - 1), 5.0)
    assert full / 2 <= delay_s(tries, Outcome(503), random.Random(seed), NOW) <= full


def test_the_service_may_ask_for_a_longer_wait_than_ours() -> None:
    asked = Outcome(503, {"Retry-After": "7"})
    assert delay_s(1, asked, random.Random(1), NOW) == 7.0
    assert delay_s(1, Outcome(503, {"Retry-After": "0"}), random.Random(1), NOW) >= 0.05


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Tue, 24 Nov 2026 07:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 06:00:00 GMT", 0.0),
        ("Tue, 24 Nov 2026 07:00:30 -0000", 30.0),
        ("9" * 5000, None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW) == seconds


@given(st.text(max_size=60))
def test_no_retry_after_can_break_the_call(value: str) -> None:
    assert (retry_after_s(value, NOW) or 0.0) >= 0.0
