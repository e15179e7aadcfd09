"""Which name is written beside a post: the token's or the event's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from extracted.posts.model import Renaming, name_to_write

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_a_name_that_no_event_has_told_is_the_tokens() -> None:
    assert name_to_write("Ann", NOON, None) == "Ann"


@pytest.mark.parametrize(
    ("token_age_s", "name"),
    [(3600, "Anna"), (1, "Anna"), (0, "Anna"), (-1, "Anna"), (-6, "Ann"), (-3600, "Ann")],
)
def test_a_token_of_well_after_the_event_knows_better_and_no_other(
    token_age_s: int, name: str
) -> None:
    told_at = NOON - timedelta(seconds=token_age_s)
    assert name_to_write("Ann", told_at, Renaming("Anna", NOON)) == name
