"""What a fence leaves in a database, and that fences and captures leave each other alone."""

from __future__ import annotations

import pytest

from strangler_proxy.handover.capture import Capture
from strangler_proxy.handover.databases.port import Kind, TableName
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.fence import Fence, Standing
from tests.integration.handover.conftest import Place
from tests.integration.handover.fence.fenced import (
    MOVE,
    QUICK,
    REFUSED,
    WRITES,
    Make,
    begin,
    beside,
    fence_of,
    side,
)
from tests.integration.handover.tables import side_of


def test_installing_again_leaves_the_state_and_mends_what_is_missing(here: Place) -> None:
    fence, mover = fence_of(here, shut=True)
    assert not fence.missing(mover)
    fence.lift(mover)
    fence.install(shut=True, patience=QUICK)
    assert fence.state(mover).standing == Standing.OPEN
    triggers = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
        "mysql": "SELECT trigger_name FROM information_schema.triggers "
        "WHERE trigger_schema = DATABASE()",
    }[here.kind]
    names = [name for (name,) in mover.rows(triggers)]
    on = " ON posts" if here.kind == "postgresql" else ""
    mover.execute(f"DROP TRIGGER {names[0]}{on}")
    assert "is not there" in fence.missing(mover)[0] or "is switched off" in fence.missing(mover)[0]
    fence.install(shut=True, patience=QUICK)
    assert not fence.missing(mover)
    fence.remove(QUICK)
    assert not mover.rows(triggers)
    assert "not there" in fence.missing(mover)[0]
    assert fence.state(mover).standing == Standing.OPEN
    with pytest.raises(HandoverRefused):
        fence.raise_(mover, 60)
    here.writer(WRITES[0])


def test_nothing_of_it_is_left_behind(here: Place) -> None:
    listed = {
        "sqlite": "SELECT name FROM sqlite_master WHERE name LIKE 'strangler%'",
        "postgresql": "SELECT relname FROM pg_class WHERE relname LIKE 'strangler%%' UNION ALL "
        "SELECT proname FROM pg_proc WHERE proname LIKE 'strangler%%'",
        "mysql": "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() "
        "AND table_name LIKE 'strangler%%'",
    }[here.kind]
    fence, mover = fence_of(here, shut=True)
    assert mover.rows(listed)
    fence.remove(QUICK)
    fence.remove(QUICK)
    assert not mover.rows(listed)


def test_capture_and_fence_of_one_move_do_not_take_each_other_away(here: Place) -> None:
    fence, mover = fence_of(here)
    capture = Capture(here.database, MOVE, [side(mover)])
    capture.install(QUICK)
    capture.install(QUICK)
    fence.install(shut=False, patience=QUICK)
    assert not fence.missing(mover)
    assert not capture.missing(mover)
    fence.remove(QUICK)
    assert not capture.missing(mover)
    here.writer(WRITES[0])
    assert capture.backlog(mover).entries == 1


def test_moves_of_one_name_in_two_databases_leave_each_other_alone(
    here: Place, place: Make
) -> None:
    fence, mover = fence_of(here, shut=True)
    elsewhere = place(here.kind)
    elsewhere.writer("CREATE TABLE posts (id INTEGER NOT NULL PRIMARY KEY, body VARCHAR(40))")
    other, _ = fence_of(elsewhere, shut=True)
    assert not fence.missing(mover)
    other.remove(QUICK)
    assert not fence.missing(mover)


@pytest.mark.services
def test_moves_of_one_name_in_two_schemas_leave_each_other_alone(place: Make) -> None:
    here = place("postgresql")
    here.writer("CREATE TABLE posts (id int PRIMARY KEY, body text)", "CREATE SCHEMA second")
    here.writer("CREATE TABLE second.posts (id int PRIMARY KEY, body text)")
    fence, mover = fence_of(here, shut=True)
    table = mover.describe(TableName("second", "posts"))
    its = side_of(mover, table, {"id": Kind.INTEGER, "body": Kind.TEXT}, ("id",))
    second = Fence(here.database, MOVE, [its])
    second.install(shut=False, patience=QUICK)
    assert not fence.missing(mover)
    second.remove(QUICK)
    assert not fence.missing(mover)
    assert fence.state(mover).standing == Standing.SHUT


def test_a_fence_whose_mark_was_taken_away_with_the_capture_says_so_and_is_mended(
    place: Make,
) -> None:
    here = place("sqlite")
    writer = here.writer("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    fence, mover = fence_of(here)
    mover.execute("DROP TABLE strangler_posts_mover")
    assert "switched off" in fence.missing(mover)[0]
    fence.install(shut=False, patience=QUICK)
    assert not fence.missing(mover)
    writer.execute(WRITES[0])


def test_installing_waits_for_who_writes_already(here: Place) -> None:
    writer = here.writer()
    begin(writer)
    writer.execute(WRITES[0])
    with beside(lambda: fence_of(here, shut=True)) as installed:
        with pytest.raises(TimeoutError):
            installed.result(timeout=0.3)
        writer.execute("COMMIT")
        installed.result(timeout=10)
    with pytest.raises(Exception, match=REFUSED):
        writer.execute(WRITES[1])
