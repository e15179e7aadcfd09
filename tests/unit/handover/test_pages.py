import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy.handover.faults import HandoverFault
from strangler_proxy.handover.pages import FIRST_ROWS, MOST_BYTES, Cursor, PageSize

LIGHT = 1000


def test_quick_pages_double_until_they_take_their_time() -> None:
    size = PageSize(budget_s=0.5)
    for _ in range(20):
        size = size.after(size.rows, size.rows / 10_000, LIGHT)
    assert size.rows == 5_000


def test_one_stall_halves_the_page_and_no_more() -> None:
    assert PageSize(rows=8_000).after(8_000, 60.0, LIGHT).rows == 4_000


def test_a_table_that_is_always_slow_is_read_row_by_row_at_last() -> None:
    size = PageSize()
    for _ in range(20):
        size = size.after(size.rows, 100.0, LIGHT)
    assert size.rows == 1


def test_a_short_page_does_not_let_the_next_one_grow() -> None:
    assert PageSize(rows=8_000).after(10, 0.000_1, LIGHT).rows == 8_000


def test_a_short_page_that_is_slow_lets_the_next_one_shrink() -> None:
    assert PageSize(rows=8_000).after(10, 1.0, LIGHT).rows == 4_000


def test_heavy_rows_make_small_pages_however_quick_they_are() -> None:
    size = PageSize()
    for _ in range(20):
        size = size.after(size.rows, 0.001, size.rows * MOST_BYTES // 10)
    assert size.rows == 8


def test_an_empty_page_says_nothing() -> None:
    assert PageSize().after(0, 10.0, 0).rows == FIRST_ROWS


@given(
    st.lists(
        st.tuples(
            st.integers(0, 100_000), st.floats(0, 1000, allow_nan=False), st.integers(0, 10**12)
        ),
        max_size=50,
    )
)
def test_whatever_is_measured_the_size_stays_within_its_bounds(pages) -> None:
    size = PageSize()
    for rows, elapsed_s, weight in pages:
        size = size.after(rows, elapsed_s, weight)
        assert size.least <= size.rows <= size.most


def test_a_cursor_moves_to_the_last_key() -> None:
    cursor = Cursor("posts").advanced((1, "a"), (9, "z"))
    assert cursor.key == (9, "z")


@pytest.mark.parametrize("page", [((7,), (9,)), ((8,), (7,)), ((7,), (7,))])
def test_a_page_with_the_row_before_it_is_an_error_that_names_the_table(page) -> None:
    with pytest.raises(HandoverFault, match=r"table posts: after the row with key \(7,\)"):
        Cursor("posts", (7,)).advanced(*page)
