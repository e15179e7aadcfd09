"""The end of a move as a part: for good, at the last moment, and never undone by mistake."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from strangler_proxy.steps.decision import Direction
from strangler_proxy.steps.engine import Ending, Outcome, Run
from strangler_proxy.steps.ledger import open_ledger
from strangler_proxy.steps.moves import CANDIDATE
from strangler_proxy.steps.parts import RetireMove
from strangler_proxy.steps.state import Phase
from strangler_proxy.steps.step import NoWayBack, PartFailed, Stage, StandsStill, Step
from tests.unit.steps.fakes import FakePace, FakePart, Silent
from tests.unit.steps.test_data import FOLLOWS, FakeMove

HANDED_OVER = replace(FOLLOWS, owner=CANDIDATE)


@pytest.mark.parametrize(("drop", "asked"), [(False, "retire"), (True, "retire and drop")])
def test_a_move_is_retired_for_good_and_no_undo_claims_otherwise(drop: bool, asked: str) -> None:
    move = FakeMove(HANDED_OVER)
    part = RetireMove(move, drop)
    part.execute(part.prepare(), FakePace())
    assert move.asked == [asked]
    with pytest.raises(NoWayBack, match="no way leads back"):
        part.undo({}, FakePace())


def test_tables_that_are_still_the_controls_are_not_retired() -> None:
    with pytest.raises(StandsStill, match="the control owns the tables of notes"):
        RetireMove(FakeMove(FOLLOWS)).prepare()


def test_a_move_at_work_is_waited_for_before_it_is_retired() -> None:
    move = FakeMove(HANDED_OVER, busy=3)
    RetireMove(move).execute({}, FakePace())
    assert move.asked == ["retire"]


@pytest.mark.parametrize("act", ["prepare", "execute"])
def test_a_control_that_is_needed_again_since_it_was_proved_keeps_its_tables(act: str) -> None:
    move = FakeMove(HANDED_OVER)
    part = RetireMove(move, needed=lambda: "uploads lead to it")
    with pytest.raises(StandsStill, match="notes was not retired: uploads lead to it"):
        part.prepare() if act == "prepare" else part.execute({}, FakePace())
    assert move.asked == []


def test_one_that_was_begun_is_completed_whoever_needs_the_control() -> None:
    move = FakeMove(replace(HANDED_OVER, retired=True))
    RetireMove(move, needed=lambda: "uploads lead to it").execute({}, FakePace())
    assert move.asked == ["retire"]


def test_undoing_what_was_not_begun_changes_nothing() -> None:
    move = FakeMove(HANDED_OVER)
    RetireMove(move).undo({}, FakePace())
    assert move.asked == []


class Retiring(FakeMove):
    """Somebody is about to retire it, and does within some looks."""

    looks = 3

    def state(self):
        self.looks -= 1
        return replace(self.now, retiring=self.looks > 0, retired=self.looks <= 0)


def test_undoing_waits_for_a_retirement_at_work_and_then_says_that_it_was_too_late() -> None:
    with pytest.raises(NoWayBack):
        RetireMove(Retiring(HANDED_OVER)).undo({}, FakePace())
    endless = Retiring(HANDED_OVER)
    endless.looks = 10**9
    with pytest.raises(PartFailed, match="wait until that has ended"):
        RetireMove(endless, busy_s=5.0).undo({}, FakePace())


class Retirement:
    """A step that leads the rest elsewhere and retires two moves; each run opens its ledger."""

    def __init__(self, folder: Path) -> None:
        self.path, self.world = folder / "end.jsonl", {}
        self.moves = [FakeMove(HANDED_OVER, name=name) for name in ("a", "b")]

    def run(self, wanted: Direction) -> Outcome:
        parts = [FakePart("lead", self.world), *map(RetireMove, self.moves)]
        step = Step("end", "The end", tuple(Stage(part.name, part) for part in parts))
        with open_ledger(self.path, wanted) as ledger:
            outcome = Run(step, ledger, FakePace(), Silent(), {}).to(wanted)
            self.phase = ledger.state.phase
        return outcome


@pytest.fixture
def end(tmp_path: Path) -> Retirement:
    return Retirement(tmp_path)


def test_one_that_cannot_be_retired_leaves_the_step_where_it_stands_and_is_retired_later(
    end: Retirement,
) -> None:
    end.moves[1].broken = "its database is away"
    stopped = end.run(Direction.EXECUTE)
    assert (stopped.ending, "its database is away" in stopped.text) == (Ending.STOPPED, True)
    end.moves[1].broken = ""
    assert end.run(Direction.EXECUTE).ending == Ending.DONE
    assert [move.asked for move in end.moves] == [["retire"], ["retire"]]


def test_an_undo_before_anything_was_retired_leads_all_the_way_back(end: Retirement) -> None:
    end.moves[0].broken = "its database is away"
    assert end.run(Direction.EXECUTE).ending == Ending.STOPPED
    end.moves[0].broken = ""
    assert end.run(Direction.UNDO).ending == Ending.DONE
    assert end.world["journal"] == ["execute lead", "undo lead"]


def test_an_undo_that_comes_too_late_leaves_a_step_that_can_be_completed(end: Retirement) -> None:
    end.moves[1].broken = "its database is away"
    end.run(Direction.EXECUTE)
    end.moves[1].broken = ""
    for _ in range(2):
        refused = end.run(Direction.UNDO)
        assert (refused.ending, end.phase) == (Ending.STOPPED, Phase.FORWARD)
        assert refused.text == "a is retired for good: no way leads back"
        assert "--execute goes on from here" in refused.advice
    assert end.run(Direction.EXECUTE).ending == Ending.DONE
    assert end.run(Direction.UNDO).ending == Ending.STOPPED
    assert end.run(Direction.EXECUTE).ending == Ending.DONE
    assert end.world["journal"] == ["execute lead"]
