"""Counts in, verdict out: errors and p99, with too little evidence never passing."""

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy.running.counts import SideCounts, Tally
from strangler_proxy.steps import Evidence, Verdict
from strangler_proxy.steps.bounds import clean_requests_for, p99_bound_rank, wilson
from strangler_proxy.steps.judgement import (
    ErrorLimit,
    Faultless,
    P99Limit,
    RouteWindow,
    worst,
)

PASSED, FAILED, INCONCLUSIVE = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE


def side(requests, failures=0, latency_s=0.01, slow=0, slow_s=5.0):
    tally = Tally()
    for n in range(requests):
        tally.record(slow_s if n < slow else latency_s, 500 if n < failures else 200)
    return SideCounts.from_json(tally.as_json())


def window(candidate, control, record=None):
    return {"r": RouteWindow(candidate, control, record or control)}


@pytest.mark.parametrize(
    ("candidate", "control", "expected"),
    [
        ((0, 0), (1000, 0), INCONCLUSIVE),
        ((49, 0), (1000, 0), INCONCLUSIVE),
        ((100, 0), (1000, 0), INCONCLUSIVE),  # chance could hide 2.6 %
        ((268, 0), (1000, 0), PASSED),
        ((1000, 3), (1000, 3), PASSED),
        ((1, 1), (1000, 0), INCONCLUSIVE),
        ((2, 2), (1000, 0), INCONCLUSIVE),
        ((3, 3), (1000, 0), FAILED),
        ((1000, 30), (1000, 3), FAILED),
        ((1000, 300), (1000, 300), INCONCLUSIVE),
        ((100_000, 30_000), (100_000, 30_000), PASSED),  # both suffer alike
        ((1000, 0), (0, 0), INCONCLUSIVE),  # nothing to compare with
    ],
)
def test_errors_are_judged_with_confidence_in_the_difference(candidate, control, expected):
    limit = ErrorLimit(0.01, {"r": 50})
    assert limit.judge(window(side(*candidate), side(*control))).verdict is expected


def test_the_controls_whole_record_stands_in_when_the_window_has_too_little_of_it():
    limit = ErrorLimit(0.01, {"r": 50})
    seen = window(side(1000), side(2), record=side(2000, 1))
    evidence = limit.judge(seen)
    assert evidence.verdict is PASSED
    assert "control 1 of 2000" in evidence.text


UNKNOWN = side(0)


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [((267, 0), INCONCLUSIVE), ((268, 0), PASSED), ((1000, 4), PASSED), ((1000, 30), FAILED)],
)
def test_an_unknown_control_can_be_taken_for_one_that_never_failed(candidate, expected):
    limit = Faultless(ErrorLimit(0.01, {"r": 50}))
    assert limit.judge(window(side(*candidate), UNKNOWN)).verdict is expected


def test_a_control_that_is_known_is_taken_as_it_is():
    seen = window(side(1000, 30), side(0), record=side(1000, 30))
    limit = ErrorLimit(0.1, {"r": 50})
    assert Faultless(limit).judge(seen) == limit.judge(seen)


@given(st.integers(268, 3000), st.integers(0, 30), st.integers(1, 3000), st.integers(0, 300))
def test_no_pass_against_an_unknown_control_is_a_failure_against_a_known_one(n, bad, m, worse):
    limit = ErrorLimit(0.01, {"r": 50})
    if Faultless(limit).judge(window(side(n, min(n, bad)), UNKNOWN)).verdict is PASSED:
        known = window(side(n, min(n, bad)), side(0), record=side(m, min(m, worse)))
        assert limit.judge(known).verdict is not FAILED


def test_one_route_proved_worse_fails_whatever_the_others_dilute():
    limit = ErrorLimit(0.02, {"busy": 10, "rare": 1})
    seen = {
        "busy": RouteWindow(side(9000), side(9000), side(9000)),
        "rare": RouteWindow(side(20, 10), side(100), side(100)),
    }
    evidence = limit.judge(seen)
    assert evidence.verdict is FAILED
    assert evidence.text.startswith("rare: 10 of 20 failed, control 0 of 100")


def test_each_route_must_have_been_seen_however_busy_the_others_are():
    limit = ErrorLimit(0.02, {"busy": 10, "rare": 3})
    seen = {
        "busy": RouteWindow(side(9000), side(9000), side(9000)),
        "rare": RouteWindow(side(2), side(100), side(100)),
    }
    assert limit.judge(seen) == Evidence(
        INCONCLUSIVE, "rare: 2 of 3 requests seen", {"rare.requests": 2}
    )


def test_requests_of_callers_who_all_fall_outside_the_share_are_told_as_such():
    for limit in (ErrorLimit(0.02, {"r": 40}), P99Limit(2.0, 0.25, {"r": 40})):
        evidence = limit.judge(window(side(0), side(1240)))
        assert evidence.verdict is INCONCLUSIVE
        assert evidence.text.startswith("r: 0 of 40 requests seen; the control served 1,240")
        assert "none of their callers falls into the candidate's share" in evidence.text
        assert "More callers" in evidence.text
        assert "a larger share" in evidence.text
        for few in (window(side(0), side(39)), window(side(1), side(1240))):
            assert limit.judge(few).text.endswith("of 40 requests seen")


def test_the_evidence_says_how_many_clean_requests_would_do():
    wanted = clean_requests_for(0.02)
    limit = ErrorLimit(0.02, {"r": 1})
    short = limit.judge(window(side(wanted - 1), side(100_000)))
    assert short.verdict is INCONCLUSIVE
    assert f"without errors {wanted} requests would do" in short.text
    assert limit.judge(window(side(wanted), side(100_000))).verdict is PASSED


@pytest.mark.parametrize(
    ("candidate", "control", "expected"),
    [
        (side(299), side(1000), INCONCLUSIVE),
        (side(300), side(1000), PASSED),
        (side(300, latency_s=0.1), side(1000), PASSED),  # ten times slower, below the floor
        (side(300, latency_s=0.3), side(1000), FAILED),
        (side(300, latency_s=0.3), side(1000, latency_s=0.2), PASSED),
        (side(300, slow=2), side(1000), PASSED),
        (side(300, slow=4), side(1000), INCONCLUSIVE),
        (side(300, slow=7), side(1000), FAILED),
        (side(300, slow=300, slow_s=500), side(1000), FAILED),  # beyond the last bucket
    ],
)
def test_p99_is_judged_by_factor_floor_and_what_chance_allows(candidate, control, expected):
    limit = P99Limit(2.0, 0.25, {"r": 300})
    assert limit.judge(window(candidate, control)).verdict is expected


def test_a_few_slow_requests_among_few_do_not_fail_a_p99():
    limit = P99Limit(2.0, 0.25, {"r": 5})
    assert limit.judge(window(side(5, slow=2), side(1000))).verdict is INCONCLUSIVE
    assert limit.judge(window(side(5, slow=3), side(1000))).verdict is FAILED


@given(st.integers(3, 3000))
def test_the_rank_bounds_the_true_p99_with_at_most_a_twentieth_of_error(n):
    beyond = n - p99_bound_rank(n)
    at_most = sum(comb(n, k) * 0.01**k * 0.99 ** (n - k) for k in range(beyond + 1))
    assert at_most >= 0.95 - 1e-9


def test_the_exact_rank_and_its_approximation_meet():
    assert abs((10_000 - p99_bound_rank(10_000)) - (10_001 - p99_bound_rank(10_001))) <= 2


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_bounds_hold_the_ratio_between_them(drawn):
    failures, requests = drawn
    low, high = wilson(failures, requests)
    assert 0 <= low <= failures / requests + 1e-12
    assert failures / requests - 1e-12 <= high <= 1


def test_several_judges_fail_with_one_and_pass_only_together():
    by = {verdict: Evidence(verdict, "t") for verdict in Verdict}
    assert worst({"a": by[PASSED], "b": by[PASSED]}).verdict is PASSED
    assert worst({"a": by[PASSED], "b": by[INCONCLUSIVE]}).verdict is INCONCLUSIVE
    assert worst({"a": by[INCONCLUSIVE], "b": by[FAILED]}).verdict is FAILED
