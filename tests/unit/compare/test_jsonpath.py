"""Which places a JSON path covers, and that spelling and parsing are inverse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy.compare.jsonpath import JsonPath, spell


@pytest.mark.parametrize(
    ("path", "place", "covered"),
    [
        ("$", ("a", 0), True),
        ("$.a", ("a",), True),
        ("$.a", ("a", "b"), True),
        ("$.a", ("b",), False),
        ("$.a.b", ("a",), False),
        ("$.a[*].id", ("a", 3, "id"), True),
        ("$.a[*].id", ("a", 3, "name"), False),
        ("$.a[3]", ("a", 3), True),
        ("$.a[3]", ("a", 4), False),
        ("$.*.id", ("any", "id"), True),
        ("$..id", ("id",), True),
        ("$..id", ("a", 0, "id", "deeper"), True),
        ("$..id", ("a", 0, "no"), False),
        ("$..*", ("a",), True),
        ("$..[0]", ("a", 0), True),
        ("$['a b']", ("a b",), True),
        ("$['0']", (0,), False),
    ],
)
def test_a_path_covers_its_place_and_all_below(path, place, covered):
    assert JsonPath.parse(path).covers(place) is covered


names = st.text(st.characters(exclude_characters="'\"\n", exclude_categories=["Cs"]), min_size=1)


@given(st.lists(st.one_of(names, st.integers(0, 999)), max_size=5).map(tuple))
def test_a_spelled_place_parses_back_to_itself(place):
    assert JsonPath.parse(spell(place)).segments == place
