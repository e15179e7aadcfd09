"""Values that the target cannot hold are refused, and named by their row."""

import pytest

from strangler_proxy.handover.faults import (
    HandoverRefused,
)
from tests.integration.handover.backfill.copying import both


def test_a_value_of_another_kind_is_refused_by_its_row_and_what_was_copied_stays(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, likes INTEGER)")
    (pair,) = files.pairs("posts")
    files.source.put(pair.source, [(n, n * 2) for n in range(1, 1_000)])
    files.source.make("UPDATE posts SET likes = 'many' WHERE id = 700")
    with pytest.raises(HandoverRefused, match=r"table posts, row 700: column .likes.*many"):
        files.copy([pair])
    assert files.target.rows(pair.target)
    files.source.make("UPDATE posts SET likes = NULL WHERE id = 700")
    files.copy([pair])
    files.assert_equal(pair)


@pytest.mark.services
@pytest.mark.parametrize("target", ["postgresql", "mysql"])
def test_a_text_without_room_is_refused_and_never_cut_off(target, tmp_path) -> None:
    with both("sqlite", target, tmp_path) as two:
        two.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body VARCHAR(5))")
        (pair,) = two.pairs("posts")
        rows = [(number, "short") for number in range(1, 300)]
        two.source.put(pair.source, [*rows, (300, "too long")])
        with pytest.raises(HandoverRefused, match="table posts, row 300: "):
            two.copy([pair])
        assert two.target.rows(pair.target) == rows


@pytest.mark.services
def test_a_text_that_postgresql_cannot_hold_is_refused_by_its_row(tmp_path) -> None:
    with both("sqlite", "postgresql", tmp_path) as two:
        two.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
        (pair,) = two.pairs("posts")
        two.source.put(pair.source, [(1, "fine"), (2, "nul\0here"), (3, "fine")])
        with pytest.raises(HandoverRefused, match=r"table posts, row 2: .*(NUL|0x00)"):
            two.copy([pair])
