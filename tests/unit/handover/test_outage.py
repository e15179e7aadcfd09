"""How long a database that went away is waited for."""

import pytest

from strangler_proxy.handover.faults import DatabaseUnreachable
from strangler_proxy.handover.outage import LONGEST_S, Outage

GONE = DatabaseUnreachable("gone")


def test_waits_grow_up_to_a_bound():
    outage = Outage(longest_s=10_000)
    waits = [outage.failed(number, GONE) for number in range(200)]
    assert waits[:4] == [0.25, 0.5, 1.0, 2.0]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_S


def test_an_outage_that_lasts_too_long_ends_with_its_fault():
    outage = Outage(longest_s=60)
    outage.failed(100.0, GONE)
    outage.failed(159.0, GONE)
    with pytest.raises(DatabaseUnreachable, match="gone"):
        outage.failed(160.0, GONE)


def test_it_is_over_once_and_the_next_begins_anew():
    outage = Outage(longest_s=60)
    assert outage.over(0.0) is None
    outage.failed(100.0, GONE)
    outage.failed(130.0, GONE)
    assert outage.over(140.0) == 40.0
    assert outage.over(141.0) is None
    assert outage.failed(170.0, GONE) == 0.25
