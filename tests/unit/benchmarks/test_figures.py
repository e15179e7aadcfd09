from dataclasses import replace

import pytest

from scripts.benchmarks.figures import Round, Spread, ratio, spread, summarise

ROUND = Round(
    requests=1000,
    seconds=2.0,
    p50_us=100,
    p99_us=900,
    errors=0,
    cpu_us_per_request=20.0,
    core_busy=0.9,
    core_foreign=0.01,
    pss_bytes=5_000_000,
)


def test_one_disturbed_round_moves_the_range_and_not_the_median() -> None:
    assert spread([20.0, 95.0, 21.0]) == Spread(median=21.0, low=20.0, high=95.0)


def test_no_rounds_are_not_summarised_as_zero() -> None:
    with pytest.raises(ValueError, match="no rounds"):
        spread([])


def test_throughput_is_requests_over_the_time_that_the_load_ran() -> None:
    assert ROUND.requests_per_s == 500.0


def test_errors_of_all_rounds_are_added_up_and_not_averaged() -> None:
    summary = summarise([ROUND, replace(ROUND, errors=3), replace(ROUND, errors=1)])
    assert summary.errors == 4


def test_a_ratio_says_how_many_times_the_reference() -> None:
    assert ratio(54.0, 27.0) == 2.0


@pytest.mark.parametrize(("figure", "reference"), [(None, 2.0), (2.0, None), (2.0, 0.0)])
def test_there_is_no_ratio_to_what_was_not_measured(
    figure: float | None, reference: float | None
) -> None:
    assert ratio(figure, reference) is None
