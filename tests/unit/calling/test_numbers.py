"""So many clients, of the kinds that the walk has."""

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.walking.cast import Numbers


def test_twelve_clients_are_those_of_the_walk():
    assert Numbers.of(12) == Numbers()


@given(st.integers(6, 500))
def test_there_are_as_many_as_asked_for_and_one_of_each_kind(clients):
    kinds = asdict(Numbers.of(clients)).values()
    assert sum(kinds) == clients
    assert min(kinds) >= 1


def test_too_few_for_all_kinds_are_refused():
    with pytest.raises(ValueError, match="5 clients are fewer than the 6 kinds"):
        Numbers.of(5)
