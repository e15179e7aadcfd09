"""What a step does of a move of data: parts and gates over a move that is only remembered."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from strangler_proxy.steps.gates.data import Copied, RowsAlike, judge_copy, judge_rows
from strangler_proxy.steps.moves import (
    CANDIDATE,
    CONTROL,
    HandedOver,
    MoveBusy,
    MoveFailed,
    MoveState,
    Verified,
    mover_runs,
)
from strangler_proxy.steps.parts.data import ClearLeftovers, HandOver, PlanMove
from strangler_proxy.steps.step import (
    Evidence,
    Facts,
    Interrupted,
    Pace,
    PartFailed,
    StandsStill,
    Verdict,
)
from tests.unit.steps.fakes import FakePace

FRESH = MoveState(
    begun=False, runs=False, owner=CONTROL, follows=False,
    rows=0, estimated=0, waiting=0, oldest_s=0.0,
)  # fmt: skip
ALIKE = Verified(1200, 0, 0)
FOLLOWS = replace(FRESH, begun=True, runs=True, follows=True, rows=1200)


class Silent:
    """A watcher who tells nobody."""

    def acting(self, text: str) -> None:
        pass

    def looking(self, gate: str, evidence: Evidence) -> None:
        pass

    def result(self, text: str, verdict: Verdict) -> None:
        pass


@dataclass
class FakeMove:
    """Hands over unless a reason not to is left; `broken` makes every command fail."""

    now: MoveState = FRESH
    reasons: list[str] = field(default_factory=list)
    against: str = ""
    broken: str = ""
    busy: int = 0
    warnings: tuple[str, ...] = ()
    verified: Verified = ALIKE
    asked: list[str] = field(default_factory=list)
    name: str = "notes"
    start_command: tuple[str, ...] = ("strangler", "data", "start", "notes")

    def plan(self) -> None:
        self.asked.append("plan")
        if self.against:
            raise MoveFailed(self.against)

    def state(self) -> MoveState:
        if self.broken:
            raise MoveFailed(self.broken)
        return self.now

    def verify(self) -> Verified:
        if self.broken:
            raise MoveFailed(self.broken)
        return self.verified

    def repair(self) -> Verified:
        self.asked.append("repair")
        return ALIKE

    def hand_over(self, to: str) -> HandedOver:
        self.asked.append(f"to {to}")
        if self.busy:
            self.busy -= 1
            raise MoveBusy("pid 7 is at work")
        if self.reasons:
            return HandedOver(False, self.reasons.pop(0), warnings=self.warnings)
        self.now = replace(self.now, owner=to)
        return HandedOver(True, warnings=self.warnings)

    def retire(self, drop_tables: bool) -> None:
        if self.busy:
            self.busy -= 1
            raise MoveBusy("pid 7 is at work")
        if self.broken:
            raise MoveFailed(self.broken)
        self.asked.append("retire and drop" if drop_tables else "retire")
        self.now = replace(self.now, retired=True)

    def remove(self) -> None:
        self.asked.append("remove")
        self.now = FRESH


def test_what_stands_against_a_move_is_told_before_anything_is_begun() -> None:
    with pytest.raises(PartFailed, match="notes has no primary key"):
        PlanMove(FakeMove(against="notes has no primary key")).prepare()


def test_a_move_that_was_begun_is_not_planned_again() -> None:
    move = FakeMove(FOLLOWS)
    PlanMove(move).prepare()
    assert move.asked == []


def test_a_move_is_taken_away_only_if_it_was_begun() -> None:
    move = FakeMove(FOLLOWS)
    for _ in range(2):
        PlanMove(move).undo({}, FakePace())
    assert move.asked == ["remove"]


def test_writes_go_over_and_come_back() -> None:
    move = FakeMove(FOLLOWS)
    part = HandOver(move)
    facts = part.prepare()
    assert not part.holds(facts)
    part.execute(facts, FakePace())
    assert part.holds(facts)
    part.undo(facts, FakePace())
    part.undo(facts, FakePace())
    assert move.asked == ["to candidate", "to control", "to control"]


@dataclass
class FakeWriter:
    """A consumer that writes the candidate's tables; `told` is where it says what becomes of it."""

    told: list[str]
    runs: bool = True

    def pid(self) -> int | None:
        return 4711 if self.runs else None

    def stop(self, pace: Pace) -> None:
        self.told.append("writer stopped")

    def execute(self, facts: Facts, pace: Pace) -> None:
        self.told.append("writer started")


def test_who_writes_past_the_proxy_stands_still_while_the_writes_come_back() -> None:
    move = FakeMove(now=replace(FOLLOWS, owner=CANDIDATE))
    writers = FakeWriter(move.asked), FakeWriter(move.asked, runs=False)
    HandOver(move, writers).undo({"owner": CONTROL}, FakePace())
    assert move.asked == ["writer stopped", f"to {CONTROL}", "writer started"]


def test_who_stood_still_goes_on_when_the_writes_did_not_come_back() -> None:
    move = FakeMove(now=replace(FOLLOWS, owner=CANDIDATE), reasons=["late"])
    with pytest.raises(PartFailed, match="late"):
        HandOver(move, (FakeWriter(move.asked),), tries=1).undo({"owner": CONTROL}, FakePace())
    assert move.asked == ["writer stopped", f"to {CONTROL}", "writer started"]


@dataclass
class SlowWriter(FakeWriter):
    """It waits to stop and to start; stopping it takes a second of `step`, the pace of its step."""

    step: FakePace = field(default_factory=FakePace)

    def stop(self, pace: Pace) -> None:
        pace.wait(0)
        super().stop(pace)
        self.step.time += 1

    def execute(self, facts: Facts, pace: Pace) -> None:
        pace.wait(0)
        super().execute(facts, pace)


def test_a_step_that_is_told_to_stop_leaves_nobody_standing_still() -> None:
    move, pace = FakeMove(now=replace(FOLLOWS, owner=CANDIDATE)), FakePace(stop_at=1.0)
    writers = tuple(SlowWriter(move.asked, step=pace) for _ in range(2))
    with pytest.raises(Interrupted):
        HandOver(move, writers).undo({"owner": CONTROL}, pace)
    assert move.asked == ["writer stopped", "writer started"]


@dataclass
class BrokenWriter(FakeWriter):
    """It does not start."""

    def execute(self, facts: Facts, pace: Pace) -> None:
        raise PartFailed("no such command")


def test_one_writer_that_does_not_start_again_keeps_no_other_from_it() -> None:
    move = FakeMove(now=replace(FOLLOWS, owner=CANDIDATE))
    well, broken = FakeWriter(move.asked), BrokenWriter(move.asked)
    with pytest.raises(PartFailed, match="no such command"):
        HandOver(move, (well, broken, well)).undo({"owner": CONTROL}, FakePace())
    assert move.asked.count("writer started") == 2


def test_who_writes_past_the_proxy_goes_on_while_the_writes_go_over() -> None:
    move = FakeMove(now=FOLLOWS)
    HandOver(move, (FakeWriter(move.asked),)).execute({"owner": CONTROL}, FakePace())
    assert move.asked == [f"to {CANDIDATE}"]


def test_a_cut_over_that_a_killed_run_left_at_work_is_waited_for_before_it_is_undone() -> None:
    move = FakeMove(FOLLOWS, busy=3)
    HandOver(move).undo({"owner": CONTROL}, FakePace())
    assert move.now.owner == CONTROL
    assert move.busy == 0


def test_writes_that_were_never_handed_over_have_nothing_to_come_back() -> None:
    move = FakeMove(FOLLOWS, reasons=["never cut over"] * 5)
    HandOver(move).undo({"owner": CONTROL}, FakePace())
    move = FakeMove(replace(FOLLOWS, owner=CANDIDATE), reasons=["a row differs"] * 5)
    with pytest.raises(PartFailed, match="a row differs"):
        HandOver(move).undo({"owner": CONTROL}, FakePace())


def test_tables_that_were_the_candidates_before_stay_with_it() -> None:
    move = FakeMove(replace(FOLLOWS, owner=CANDIDATE))
    part = HandOver(move)
    facts = part.prepare()
    part.undo(facts, FakePace())
    assert move.asked == []


def test_a_cut_over_that_went_back_is_tried_again_and_in_the_end_told() -> None:
    pace, move = FakePace(), FakeMove(FOLLOWS, reasons=["it was late", "a row differs"])
    part = HandOver(move, tries=3, pause_s=2.0)
    part.execute(part.prepare(), pace)
    assert (move.now.owner, pace.time) == (CANDIDATE, 4.0)
    move = FakeMove(FOLLOWS, reasons=["it was late"] * 3)
    with pytest.raises(PartFailed, match=r"in 3 tries, and all is as it was: it was late"):
        HandOver(move, tries=3).execute({"owner": CONTROL}, pace)
    assert move.now.owner == CONTROL


def test_what_a_cut_over_warns_of_is_left_for_a_person_whichever_way_it_ends() -> None:
    move = FakeMove(FOLLOWS, warnings=("edge-1: flip by hand", "edge-2: flip by hand"))
    for act in (HandOver(move).execute, HandOver(move).undo):
        assert act({"owner": CONTROL}, FakePace()) == "edge-1: flip by hand; edge-2: flip by hand"
    move.reasons = ["it was late"]
    with pytest.raises(PartFailed, match="it was late; edge-1: flip by hand"):
        HandOver(move, tries=1).execute({"owner": CONTROL}, FakePace())


def test_another_command_at_work_is_waited_for_but_not_for_ever() -> None:
    move = FakeMove(FOLLOWS, busy=5)
    HandOver(move, tries=1).execute({"owner": CONTROL}, FakePace())
    assert move.now.owner == CANDIDATE
    move = FakeMove(FOLLOWS, busy=5)
    for act in (HandOver(move, busy_s=3.0).execute, HandOver(move, busy_s=3.0).undo):
        move.busy = 5
        with pytest.raises(StandsStill, match="pid 7 is at work"):
            act({"owner": CONTROL}, FakePace())


UNSETTLED = replace(FOLLOWS, cut_over_begun=True)


@pytest.mark.parametrize("way", ["execute", "undo"])
@pytest.mark.parametrize("owner", [CONTROL, CANDIDATE])
def test_a_cut_over_that_is_neither_done_nor_undone_stops_the_step_where_it_stands(
    way: str, owner: str
) -> None:
    move = FakeMove(replace(UNSETTLED, owner=owner), reasons=["a database is away"] * 5)
    act = getattr(HandOver(move), way)
    with pytest.raises(StandsStill, match="neither done nor undone: a database is away"):
        act({"owner": CONTROL}, FakePace())


@pytest.mark.parametrize("way", ["execute", "undo"])
def test_a_cut_over_whose_end_cannot_be_looked_at_stops_the_step_where_it_stands(way: str) -> None:
    move = FakeMove(FOLLOWS, reasons=["it was late"] * 5, broken="the ledger is damaged")
    with pytest.raises(StandsStill, match="whose notes is cannot be read: the ledger is damaged"):
        getattr(HandOver(move), way)({"owner": CONTROL}, FakePace())


def test_a_cut_over_that_the_mover_has_settled_meanwhile_is_done() -> None:
    move = FakeMove(replace(FOLLOWS, owner=CANDIDATE), reasons=["a database is away"] * 5)
    HandOver(move).execute({"owner": CONTROL}, FakePace())
    assert move.now.owner == CANDIDATE


FOUND = [
    (ALIKE, []),
    (Verified(1200, 2, 0, only_extra=True), ["repair"]),
    (Verified(1200, 2, 0, ("notes 7: missing",)), []),
]


@pytest.mark.parametrize(("found", "asked"), FOUND)
def test_only_rows_that_nothing_but_an_earlier_attempt_explains_are_cleared(
    found: Verified, asked: list[str]
) -> None:
    move = FakeMove(FOLLOWS, verified=found)
    part = ClearLeftovers(move)
    part.execute(part.prepare(), FakePace())
    part.undo({}, FakePace())
    assert move.asked == asked


def test_leftovers_that_cannot_be_looked_for_now_are_no_reason_to_throw_the_copy_away() -> None:
    with pytest.raises(StandsStill, match="leftovers of notes: the database is away"):
        ClearLeftovers(FakeMove(FOLLOWS, broken="the database is away")).execute({}, FakePace())


@pytest.mark.parametrize("act", ["prepare", "holds"])
def test_a_move_that_cannot_be_looked_at_stops_the_step_where_it_stands(act: str) -> None:
    part = HandOver(FakeMove(broken="the ledger is damaged"))
    with pytest.raises(StandsStill, match="the ledger is damaged"):
        getattr(part, act)(*([{}] if act == "holds" else []))


COPIES = [
    (FOLLOWS, Verdict.PASSED, "all 1,200 rows copied"),
    (replace(FOLLOWS, follows=False, estimated=5000), Verdict.INCONCLUSIVE, "of about 5,000"),
    (replace(FOLLOWS, waiting=7, oldest_s=9.0), Verdict.INCONCLUSIVE, "the oldest for 9.0 s"),
    (replace(FOLLOWS, problems=("no trigger",)), Verdict.FAILED, "no trigger"),
    (replace(FOLLOWS, follows=False, unanswered=("it is away",)), Verdict.INCONCLUSIVE, "is away"),
    (replace(FOLLOWS, runs=False, ended="no room"), Verdict.INCONCLUSIVE, "last run: no room"),
    (replace(FOLLOWS, unanswered=("away",), problems=("no key",)), Verdict.FAILED, "no key"),
]


@pytest.mark.parametrize(("state", "verdict", "told"), COPIES)
def test_a_copy_is_judged_by_its_state(state: MoveState, verdict: Verdict, told: str) -> None:
    evidence = judge_copy(state, 2.0)
    assert evidence.verdict == verdict
    assert told in evidence.text


def test_a_mover_that_does_not_come_back_stops_the_step_where_it_stands() -> None:
    pace, move = FakePace(), FakeMove(replace(FOLLOWS, runs=False))
    trial = Copied(move, 86400.0, gone_s=30.0, log=Path("run/mover.log")).begin(pace)
    assert "it was killed" in trial.look().text
    pace.wait(29)
    assert trial.look().verdict == Verdict.INCONCLUSIVE
    pace.wait(1)
    with pytest.raises(StandsStill, match=r"notes: nobody .* was killed\. Its log: run/mover\.log"):
        trial.look()


def test_a_mover_that_is_started_again_in_time_is_not_missed() -> None:
    pace, move = FakePace(), FakeMove()
    trial = Copied(move, 86400.0, gone_s=30.0).begin(pace)
    for runs in (False, True, False):
        move.now = replace(FOLLOWS, follows=False, runs=runs)
        assert trial.look().verdict == Verdict.INCONCLUSIVE
        pace.wait(29)


ROWS = [
    (ALIKE, Verdict.PASSED, "1,200 rows are alike"),
    (Verified(1200, 3, 3), Verdict.INCONCLUSIVE, "3 rows differ by changes that wait"),
    (Verified(1200, 4, 3, ("notes 7: missing",)), Verdict.FAILED, "notes 7: missing"),
]


@pytest.mark.parametrize(("verified", "verdict", "told"), ROWS)
def test_rows_are_judged_by_those_that_nothing_explains(
    verified: Verified, verdict: Verdict, told: str
) -> None:
    evidence = judge_rows(verified)
    assert evidence.verdict == verdict
    assert told in evidence.text


def test_a_move_that_does_not_answer_proves_nothing() -> None:
    move = FakeMove(FOLLOWS, broken="the database is away")
    for gate in (Copied(move, 10.0), RowsAlike(move)):
        evidence = gate.begin(FakePace()).look()
        assert (evidence.verdict, evidence.text) == (Verdict.INCONCLUSIVE, "the database is away")


def test_a_mover_is_well_while_it_is_at_work() -> None:
    assert mover_runs(FakeMove(FOLLOWS)) is None
    assert "nobody carries" in str(mover_runs(FakeMove(FRESH)))
    assert mover_runs(FakeMove(broken="away")) == "away"
