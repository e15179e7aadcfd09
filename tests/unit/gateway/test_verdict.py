from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy.config import HealthCheck
from strangler_proxy.gateway.health import Verdict

RULES = HealthCheck(fall=3, rise=2)


def after(checks: str, rules: HealthCheck = RULES) -> list[bool]:
    """Whether the address is well after each check: + passed, - failed."""
    verdict, seen = Verdict(), []
    for check in checks:
        verdict = verdict.after(check == "+", rules)
        seen.append(verdict.well)
    return seen


def test_a_new_address_is_well_until_it_has_failed_often_enough() -> None:
    assert after("---") == [True, True, False]


def test_one_good_check_forgives_the_failures_before_it() -> None:
    assert all(after("--+--+--"))


def test_an_unwell_address_needs_good_checks_in_a_row_to_come_back() -> None:
    assert after("---+-++")[2:] == [False, False, False, False, True]


def test_once_back_it_falls_only_after_as_many_failures_as_the_first_time() -> None:
    assert after("---++---")[4:] == [True, True, True, False]


def test_one_is_enough_where_the_rules_say_so() -> None:
    assert after("-+-+", HealthCheck(fall=1, rise=1)) == [False, True, False, True]


@given(st.text("+-", max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_it_changes_exactly_after_a_run_of_the_opposite(checks: str, fall: int, rise: int) -> None:
    well, run = True, 0
    expected = []
    for check in checks:
        run = 0 if (check == "+") is well else run + 1
        if run == (fall if well else rise):
            well, run = not well, 0
        expected.append(well)
    assert after(checks, HealthCheck(fall=fall, rise=rise)) == expected
