import pytest

from strangler_proxy.handover.faults import HandoverFault
from strangler_proxy.handover.throttle import LONGEST_NAP_S, Pace, Patience


def test_without_a_rate_nothing_waits() -> None:
    pace = Pace().after(1_000_000, now=5.0)
    assert pace.wait_s(5.0) == 0
    assert pace.most_rows(0.5) is None


def test_a_rate_is_kept_over_many_pages() -> None:
    pace, now, rows = Pace(rows_per_s=100), 0.0, 0
    while rows < 1_000:
        now += pace.wait_s(now)
        pace, rows = pace.after(50, now), rows + 50
    assert now + pace.wait_s(now) == pytest.approx(10.0)


def test_time_lost_elsewhere_is_not_made_up_for_by_a_burst() -> None:
    pace = Pace(rows_per_s=100).after(50, now=0.0).after(50, now=60.0)
    assert pace.wait_s(60.0) == pytest.approx(0.5)


@pytest.mark.parametrize(("rate", "rows"), [(1_000, 500), (0.1, 1)])
def test_a_page_is_no_burst_and_never_empty(rate, rows) -> None:
    assert Pace(rows_per_s=rate).most_rows(0.5) == rows


def test_probes_that_see_no_harm_let_it_go_on() -> None:
    assert Patience((lambda: 0.0, lambda: -1.0)).nap_s(0.0) == 0
    assert Patience().nap_s(0.0) == 0


def test_the_most_worried_probe_decides() -> None:
    assert Patience((lambda: 0.5, lambda: 2.0)).nap_s(0.0) == 2.0


def test_a_long_pause_is_asked_about_again() -> None:
    assert Patience((lambda: 3600.0,)).nap_s(0.0) == LONGEST_NAP_S


def test_patience_has_an_end_and_says_what_is_kept() -> None:
    with pytest.raises(HandoverFault, match=r"wait for 30 s.*kept"):
        Patience((lambda: 1.0,), longest_s=30).nap_s(30.0)
