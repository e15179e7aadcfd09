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
        (r"$['it\'s']", ("it's",), True),
        (r"""$["it's"]""", ("it's",), True),
        (r"""$['a"\n\u00e9\\']""", ('a"\né\\',), True),
        ("$['a\nb'].c", ("a\nb", "c"), True),
        ("$['a]'][0]", ("a]", 0), True),
    ],
)
def test_a_path_covers_its_place_and_all_below(path, place, covered):
    assert JsonPath.parse(path).covers(place) is covered


@pytest.mark.parametrize("path", [r"$['a\d']", r"$['a\u12']", r"$['a\']", "$['a'b']"])
def test_quotes_and_escapes_that_json_has_not_are_told(path):
    with pytest.raises(ValueError, match="JSON path"):
        JsonPath.parse(path)


names = st.text(st.one_of(st.characters(), st.sampled_from("'\"\\[]\n.")))


@given(st.lists(st.one_of(names, st.integers(0, 999)), max_size=5).map(tuple))
def test_a_spelled_place_parses_back_to_itself(place):
    assert JsonPath.parse(spell(place)).segments == place
