"""What was not answered is sent again only where that changes nothing, and never too much of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strangler_proxy.config import Retry
from strangler_proxy.policies.retry import (
    ANSWERED,
    ELSEWHERE_TRIES,
    NOT_SENT,
    UNHEARD,
    pause_s,
    within_budget,
)

RETRY = Retry(most=2, backoff_s=0.1, longest_s=0.3)


def pause(outcome: int, **given: Any) -> float | None:
    told: dict[str, Any] = {
        "repeatable": True, "tries": 0, "elsewhere": False, "retry": None, "drawn": 1.0, **given
    }  # fmt: skip
    return pause_s(outcome, **told)


def test_what_was_never_sent_goes_to_another_address_at_once_whatever_it_is() -> None:
    for repeatable in (True, False):
        pauses = [
            pause(NOT_SENT, repeatable=repeatable, elsewhere=True, tries=tries)
            for tries in range(ELSEWHERE_TRIES + 1)
        ]
        assert pauses == [0.0] * 3 + [None]


def test_without_another_address_and_a_word_about_retries_it_is_not_tried_again() -> None:
    assert pause(NOT_SENT) is None
    assert pause(ANSWERED) is None


def test_idempotent_request_whose_connection_ended_unheard_is_repeated_once_at_once() -> None:
    assert pause(UNHEARD) == 0.0
    assert pause(UNHEARD, tries=1) is None


@pytest.mark.parametrize("outcome", [UNHEARD, ANSWERED])
@pytest.mark.parametrize("retry", [None, RETRY])
def test_what_may_have_been_carried_out_is_repeated_only_if_that_changes_nothing(
    outcome: int, retry: Retry | None
) -> None:
    given = {"retry": retry, "elsewhere": True}
    assert pause(outcome, repeatable=False, **given) is None


def test_pauses_double_up_to_the_longest_and_end_with_the_most() -> None:
    generous = RETRY.model_copy(update={"most": 4})
    pauses = [pause(ANSWERED, retry=generous, tries=tries) for tries in range(6)]
    assert pauses == [pytest.approx(s) for s in (0.1, 0.2, 0.3, 0.3)] + [None, None]


@settings(max_examples=200, deadline=None, database=None)
@given(
    outcome=st.sampled_from([NOT_SENT, UNHEARD, ANSWERED]),
    tries=st.integers(0, 12),
    elsewhere=st.booleans(),
    repeatable=st.booleans(),
    drawn=st.floats(0, 1),
    most=st.integers(0, 10),
)
def test_pause_is_within_its_bounds_and_tries_end(
    outcome: int, tries: int, elsewhere: bool, repeatable: bool, drawn: float, most: int
) -> None:
    retry = Retry(most=most, backoff_s=0.05, longest_s=1)
    paused = pause(
        outcome,
        repeatable=repeatable,
        tries=tries,
        elsewhere=elsewhere,
        retry=retry,
        drawn=drawn,
    )
    if paused is not None:
        assert 0 <= paused <= min(1, 0.05 * 2**tries) * drawn
        assert tries < max(most, ELSEWHERE_TRIES)


def test_few_retries_are_always_allowed_and_many_only_beside_many_requests() -> None:
    assert [within_budget(retrying, 1, 20) for retrying in range(4)] == [True] * 3 + [False]
    assert [within_budget(19, 100, 20), within_budget(20, 100, 20)] == [True, False]
    assert not within_budget(3, 1000, 0)
