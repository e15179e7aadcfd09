"""What a verification found, in words: each number agrees with its noun and its verb."""

from __future__ import annotations

import pytest

from strangler_proxy.handover.counted import counted
from strangler_proxy.handover.databases.port import TableName
from strangler_proxy.handover.verify import Difference, Report

POSTS = TableName(None, "posts")
EXTRA = Difference(POSTS, POSTS, (7,), ("id", "title"), None, ("7", "seven"), ())


def report(total: int, **more: object) -> str:
    known = {"rows": 1_000, "chunks": 1, "stale": 0, "rechecked": 0, "complete": True}
    found = (EXTRA,) * min(total, 1)
    return str(Report(**known | {"differences": found, "total": total, "seconds": 2.0} | more))


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (5_000, "5,000 rows")]
)
def test_one_is_one_and_all_others_are_many(number: int, told: str) -> None:
    assert counted(number) == told


def test_what_is_no_plain_plural_is_given() -> None:
    assert counted(1, "change waits", "changes wait") == "1 change waits"
    assert counted(2_000, "change waits", "changes wait") == "2,000 changes wait"


def test_a_single_row_differs_and_several_differ() -> None:
    assert report(1).splitlines() == [
        "1 row differs: 1,000 rows in 2.0 s",
        "posts 7: at the target only",
    ]
    assert report(2).splitlines()[0] == "2 rows differ: 1,000 rows in 2.0 s"
    assert report(2).splitlines()[-1] == "... and 1 more"
    told = report(10_000, complete=False, stale=3)
    assert told.startswith("at least 10,000 rows differ, 3 explained by changes that still wait")


def test_a_table_of_one_row_agrees() -> None:
    assert report(0, rows=1) == "both sides agree: 1 row in 2.0 s"
