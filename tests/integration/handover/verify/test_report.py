"""What a verification tells of many differences, of long values, and of a side that is away."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.faults import DatabaseUnreachable
from strangler_proxy.handover.verify import (
    Verifier,
)
from tests.integration.handover.conftest import SERVERS, Place, kind_param
from tests.integration.handover.verify.sides import SMALL, Make, posts, sides


def test_a_report_lists_some_and_counts_all(alike: tuple[Place, Place]) -> None:
    it = posts(alike)
    it.writes.execute("DELETE FROM posts WHERE id < 300")
    report = it.verify(replace(SMALL, listed=7))
    assert (len(report.differences), report.total, report.complete) == (7, 300, True)
    assert "... and 293 more" in str(report)


def test_a_table_that_is_wrong_all_over_is_given_up(alike: tuple[Place, Place]) -> None:
    it = posts(alike)
    it.writes.execute("UPDATE posts SET author_id = -1")
    report = it.verify(replace(SMALL, most=50))
    assert not report.complete
    assert not report.agrees
    assert 50 <= report.total < 200
    assert "at least" in str(report)


def test_a_long_value_is_cut_in_the_report(alike: tuple[Place, Place]) -> None:
    table = "CREATE TABLE notes (id INTEGER NOT NULL PRIMARY KEY, said TEXT)"
    it = sides(alike, [table], [table], {"table": "notes"})
    it.copied([(1, "x" * 10_000)])
    it.writes.execute("UPDATE notes SET said = said || 'y'")
    (found,) = it.verify().differences
    assert found.source is not None
    assert len(found.source[1] or "") < 600
    assert "(10,000 characters)" in str(found)


@pytest.mark.parametrize("kind", [kind_param(kind) for kind in SERVERS])
def test_sessions_are_closed_when_a_side_cannot_be_reached(place: Make, kind: str) -> None:
    source = place(kind)
    here = source.session()
    with pytest.raises(DatabaseUnreachable):
        Verifier(source.database, open_database("sqlite:////nowhere/at/all.db"))
    processes = {
        "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()",
        "mysql": "SELECT count(*) FROM information_schema.processlist WHERE db = database()",
    }
    deadline = time.monotonic() + 10
    while here.scalar(processes[kind]) > 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert here.scalar(processes[kind]) == 1
