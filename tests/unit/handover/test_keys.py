"""Keys are kept as text and read back as they were."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy.handover.databases.keys import decode, encode
from strangler_proxy.handover.faults import HandoverRefused

values = st.one_of(
    st.integers(),
    st.booleans(),
    st.text(),
    st.binary(),
    st.uuids(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.datetimes(),
    st.dates(),
    st.times(),
)


@given(st.lists(values, min_size=1).map(tuple))
def test_a_key_comes_back_as_it_was(key: tuple[Any, ...]) -> None:
    assert decode(encode(key)) == key
    assert [type(value) for value in decode(encode(key))] == [type(value) for value in key]


def test_what_triggers_write_is_read() -> None:
    text = (
        '[1, "a", {"hex": "00FF"}, {"decimal": "1.10"}, {"date": "2024-02-29"}, '
        '{"timestamp": "2024-02-29 12:00:00.000001"}]'
    )
    assert decode(text) == (
        *(1, "a", b"\0\xff", Decimal("1.10"), date(2024, 2, 29)),
        datetime(2024, 2, 29, 12, 0, 0, 1),
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "3", "null", "[null]", "[1.5]", "[[1]]", "[{}]", '{"a": 1}'),
        *('[{"hex": "0"}]', '[{"what": "x"}]', '[{"decimal": "x"}]', '[{"hex": 3}]'),
        '[{"hex": "00", "uuid": "x"}]',
    ],
)
def test_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(HandoverRefused, match="is not a row's key"):
        decode(text)


@pytest.mark.parametrize("value", [None, 1.5, time, datetime(2024, 1, 1, tzinfo=UTC).tzinfo])
def test_a_value_that_no_key_has_is_an_error(value: object) -> None:
    with pytest.raises(TypeError):
        encode((value,))
