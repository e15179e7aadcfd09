import pytest

from strangler_proxy.gateway.discovery.pace import LONGEST_S, Pace, backoff_s


def test_a_burst_goes_at_once_and_then_one_for_each_period() -> None:
    pace = Pace(burst=3, every_s=2.0)
    assert [pace.delay_s(100.0) for _ in range(5)] == [0, 0, 0, 2, 4]


def test_what_was_not_used_is_saved_up_to_the_burst_and_no_further() -> None:
    pace = Pace(burst=2, every_s=1.0)
    assert [pace.delay_s(0.0) for _ in range(3)] == [0, 0, 1]
    assert [pace.delay_s(1000.0) for _ in range(3)] == [0, 0, 1]


def test_questions_further_apart_than_the_period_never_wait() -> None:
    pace = Pace(burst=1, every_s=1.0)
    assert not any(pace.delay_s(float(second)) for second in range(50))


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_the_wait_after_failures_grows_to_a_bound_and_is_never_nothing(chance: float) -> None:
    waits = [backoff_s(failures, chance) for failures in (1, 2, 3, 10, 10_000)]
    assert waits == sorted(waits)
    assert waits[0] >= 0.1
    assert LONGEST_S / 2 <= waits[-1] <= LONGEST_S


def test_two_proxies_do_not_ask_in_step_after_the_same_failure() -> None:
    assert backoff_s(4, 0.1) != backoff_s(4, 0.9)
