"""Whatever goes wrong before the opening, the owner keeps its tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from strangler_proxy.handover.cutover import Wishes
from strangler_proxy.handover.faults import HandoverFault, HandoverRefused
from strangler_proxy.handover.ownership import read_ownership
from strangler_proxy.handover.way import Owner
from tests.integration.handover.conftest import KINDS
from tests.integration.handover.cutover.conftest import Make
from tests.integration.handover.cutting import QUICK, Capability, Writers


@pytest.mark.parametrize("step", ["held", "fenced", "drained", "verified", "numbered", "decided"])
def test_what_goes_wrong_before_the_opening_leaves_all_as_it_was(
    files: Capability, step: str
) -> None:
    writers = Writers(files, bypassing=False)

    def fails(at: str) -> None:
        if at == step:
            raise HandoverFault("something is wrong")

    with writers.writing():
        files.tail_until(writers.more(10), "writes go on")
        outcome = files.cut(QUICK, fails)
        assert (outcome.done, outcome.owner) == (False, Owner.CONTROL)
        assert outcome.reason == "something is wrong"
        files.tail_until(writers.more(10), "writes go on")
    assert writers.errors == []
    files.settled()
    writers.check()


@pytest.mark.parametrize("refusal", ["hold", "flip"])
def test_one_proxy_that_refuses_lets_the_owner_keep_its_tables(
    files: Capability, refusal: str
) -> None:
    writers = Writers(files, bypassing=False)
    with writers.writing():
        files.tail_until(writers.more(10), "writes go on")
        files.proxies[1].refusals = {refusal}
        outcome = files.cut(QUICK)
        assert (outcome.done, files.owner) == (False, Owner.CONTROL)
        files.proxies[1].refusals.clear()
        files.tail_until(writers.more(10), "writes go on")
        assert files.cut(QUICK).done
    assert writers.errors == []
    files.settled()
    writers.check()


def test_a_transaction_that_does_not_end_lets_the_cut_over_be_undone(files: Capability) -> None:
    writer = files.places[Owner.CONTROL].session()

    def begins(step: str) -> None:
        if step == "prepared":
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("UPDATE counters SET n = 7 WHERE id = 9")

    outcome = files.cut(Wishes(whole=False, writers_s=0.1, hold_s=1.0), begins)
    assert not outcome.done
    assert "locked" in (outcome.reason or "")
    assert outcome.hold_s < 1.0
    writer.execute("COMMIT")
    assert files.cut(QUICK).done
    assert files.counts(Owner.CANDIDATE)[9] == 7
    files.settled()


def test_rows_that_differ_are_told_before_anything_is_held(files: Capability) -> None:
    files.tail_until(lambda: files.counts(Owner.CANDIDATE) == files.counts(Owner.CONTROL), "same")
    mover = files.places[Owner.CANDIDATE].session("m")
    with mover.transaction():
        mover.execute("UPDATE counters SET n = 5 WHERE id = 3")
    with pytest.raises(
        HandoverRefused, match=r"counters 3: different\n  n: source '0', target '5'"
    ):
        files.cut(Wishes(rehearsal_s=0))
    assert files.proxies[0]._holds == 0
    assert not read_ownership(files.path).intent


CHANGES = {
    "sqlite": "ALTER TABLE notes ADD COLUMN mood VARCHAR(10)",
    "postgresql": "ALTER TABLE notes ADD COLUMN mood VARCHAR(10)",
    "mysql": "TRUNCATE TABLE notes",  # fires no trigger, and no fence stops it
}


@pytest.mark.parametrize("step", ["prepared", "numbered"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_table_changed_while_it_is_handed_over_stays_with_its_owner(
    place: Make, tmp_path: Path, kind: str, step: str
) -> None:
    capability = Capability(place(kind), place("sqlite"), tmp_path)

    def meddle(at: str) -> None:
        if at == step:
            capability.places[Owner.CONTROL].writer(CHANGES[kind])

    outcome = capability.cut(Wishes(despite_writers=True), meddle)
    assert not outcome.done
    assert "replaced while it was handed over: " in (outcome.reason or "")
    assert "notes" in (outcome.reason or "")


def test_nothing_begins_while_the_side_that_follows_was_written(files: Capability) -> None:
    with files.open() as crossing:
        crossing.target_fence.lift(crossing.target)
    files.places[Owner.CANDIDATE].writer("INSERT INTO notes (word) VALUES ('astray')")
    with pytest.raises(HandoverRefused, match="must be shut"):
        files.cut(QUICK)
    with files.open() as crossing:
        crossing.target_fence.shut(crossing.target)
    with pytest.raises(HandoverRefused, match="1 change was made to the candidate's tables"):
        files.cut(QUICK)


def test_a_hold_that_was_used_up_is_undone_in_time(files: Capability) -> None:
    outcome = files.cut(Wishes(whole=False, hold_s=0.2, skew_s=0.2))
    assert not outcome.done
    assert "used up" in (outcome.reason or "")
    files.settled()


def test_who_writes_behind_the_fence_before_the_decision_has_it_undone(files: Capability) -> None:
    control = files.places[Owner.CONTROL]

    def meddles(step: str) -> None:
        if step == "numbered":
            fence = files.first.source_fence()
            mover = control.session("m")
            fence.lift(mover)
            control.writer("INSERT INTO notes (word) VALUES ('behind')")
            fence.raise_(mover, 1.0)

    outcome = files.cut(QUICK, meddles)
    assert not outcome.done
    assert "somebody wrote behind it" in (outcome.reason or "")
    assert files.cut(QUICK).done
    assert files.words(Owner.CANDIDATE) == ["behind"]
