"""Cut-over and rollback under live writers: nothing lost, nothing twice, wherever it is killed."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from strangler_proxy.handover import cutover, reverse
from strangler_proxy.handover.backfill import backfill
from strangler_proxy.handover.capture import Capture
from strangler_proxy.handover.crossing import open_crossing
from strangler_proxy.handover.cutover import Unsettled, Wishes
from strangler_proxy.handover.faults import HandoverFault, HandoverRefused
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.ownership import open_ownership, read_ownership
from strangler_proxy.handover.pairing import pair_tables
from strangler_proxy.handover.way import Owner, forward
from tests.integration.handover.conftest import KINDS, Place, pair_param
from tests.integration.handover.cutting import Capability, FakeProxy, Writers, killed
from tests.wire_tools.proxy import until

Make = Callable[[str], Place]
QUICK = Wishes(whole=False, despite_writers=True)
PATHS = [pair_param("sqlite", "sqlite"), pair_param("postgresql", "mysql")]


@pytest.fixture(params=PATHS)
def capability(request: pytest.FixtureRequest, place: Make, tmp_path: Path) -> Capability:
    control, candidate = request.param
    return Capability(place(control), place(candidate), tmp_path)


@pytest.fixture
def files(place: Make, tmp_path: Path) -> Capability:
    return Capability(place("sqlite"), place("sqlite"), tmp_path)


def test_cut_over_and_rollback_alternate_and_keep_every_write(capability: Capability) -> None:
    writers, holds = Writers(capability), []
    with writers.writing():
        for turn in range(20):
            capability.tail_until(writers.more(20), "writes go on")
            outcome = capability.cut(Wishes(whole=turn % 5 == 0, despite_writers=True))
            assert outcome.done, outcome
            assert outcome.owner == capability.owner != [*Owner][turn % 2]
            assert all("bypasses the proxy" in warning for warning in outcome.warnings)
            holds.append(outcome.hold_s)
        capability.tail_until(writers.more(20), "writes go on")
    assert writers.errors == []
    assert writers.refused > 0
    capability.settled()
    writers.check()
    assert statistics.median(holds) < 0.5


STEPS = [
    *("intended", "held", "fenced", "drained", "verified", "numbered", "decided"),
    *("flipped", "opened", "released", "recorded"),
]
DONE = STEPS[STEPS.index("decided") :]
UNDONE = ["served back", "lifted", "released back", "recorded back"]


@pytest.mark.parametrize("step", STEPS)
def test_killed_behind_any_step_it_is_completed_or_undone(files: Capability, step: str) -> None:
    writers = Writers(files)
    with writers.writing():
        for owner in (Owner.CANDIDATE, Owner.CONTROL):
            files.tail_until(writers.more(10), "writes go on")
            assert killed(lambda checkpoint: files.cut(QUICK, checkpoint), step)
            outcome = files.resume()
            if step == "recorded":
                assert outcome is None
            else:
                assert outcome is not None
                assert outcome.done == (step in DONE)
                assert max(outcome.steps_s.values()) < 60  # not since the machine was started
            assert files.owner == (owner if step in DONE else Owner.CONTROL)
            assert not read_ownership(files.path).intent
            files.tail_until(writers.more(10), "writes go on")
    files.settled()
    writers.check()


@pytest.mark.services
@pytest.mark.parametrize("step", ["fenced", "decided", "flipped", "opened"])
@pytest.mark.parametrize("kinds", [("postgresql", "mysql"), ("mysql", "postgresql")])
def test_killed_between_two_servers_it_is_completed_or_undone(
    place: Make, tmp_path: Path, kinds: tuple[str, str], step: str
) -> None:
    servers = Capability(place(kinds[0]), place(kinds[1]), tmp_path)
    writers = Writers(servers)
    with writers.writing():
        servers.tail_until(writers.more(10), "writes go on")
        assert killed(lambda checkpoint: servers.cut(QUICK, checkpoint), step)
        outcome = servers.resume()
        assert outcome is not None
        assert outcome.done == (step in DONE)
        servers.tail_until(writers.more(10), "writes go on")
    servers.settled()
    writers.check()


@pytest.mark.parametrize(
    ("side", "step", "done"),
    [("source", "drained", False), ("target", "flipped", True), ("source", "flipped", True)],
)
def test_a_connection_lost_in_the_middle_is_settled_over_another(
    files: Capability, side: str, step: str, done: bool
) -> None:
    writers = Writers(files)
    with writers.writing():
        files.tail_until(writers.more(10), "writes go on")
        with files.open() as crossing, open_ownership(files.path) as ledger:
            session = {"source": crossing.source, "target": crossing.target}[side]

            def hangs_up(at: str) -> None:
                if at == step:
                    session.raw.close()

            if (side, step) == ("source", "flipped"):
                # Decided: what is left needs the target alone.
                assert cutover.run(crossing, files.proxies, ledger, QUICK, hangs_up).done
            else:
                with pytest.raises(Unsettled):
                    cutover.run(crossing, files.proxies, ledger, QUICK, hangs_up)
                assert ledger.now.intent
        outcome = files.resume()
        assert (files.owner == Owner.CANDIDATE) == done
        assert (outcome is None) == ((side, step) == ("source", "flipped"))
        files.tail_until(writers.more(10), "writes go on")
    files.settled()
    writers.check()


@pytest.mark.parametrize("again", UNDONE)
def test_killed_while_it_is_undone_it_is_undone_again(files: Capability, again: str) -> None:
    writers = Writers(files)

    def fails_then_dies(checkpoint: Callable[[str], None]) -> object:
        def both(step: str) -> None:
            if step == "numbered":
                raise HandoverFault("something is wrong")
            checkpoint(step)

        return files.cut(QUICK, both)

    with writers.writing():
        files.tail_until(writers.more(10), "writes go on")
        assert killed(fails_then_dies, again)
        files.resume()
        assert files.owner == Owner.CONTROL
        files.tail_until(writers.more(10), "writes go on")
        assert files.cut(QUICK).done
    files.settled()
    writers.check()


@pytest.mark.parametrize("again", ["served", "flipped", "opened", "released"])
def test_killed_again_in_the_resume_it_is_completed_by_the_next(
    files: Capability, again: str
) -> None:
    writers = Writers(files)
    with writers.writing():
        files.tail_until(writers.more(10), "writes go on")
        first = "opened" if again == "served" else "decided"
        assert killed(lambda checkpoint: files.cut(QUICK, checkpoint), first)
        assert killed(files.resume, again)
        outcome = files.resume()
        assert outcome is not None
        assert outcome.done
        assert files.owner == Owner.CANDIDATE
        files.tail_until(writers.more(10), "writes go on")
    files.settled()
    writers.check()


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_again_and_again_every_write_is_kept(files: Capability, seed: int) -> None:
    rng = random.Random(seed)
    writers, completed = Writers(files), 0
    with writers.writing():
        for _ in range(40):
            files.tail_until(writers.more(3), "writes go on")
            before, step = files.owner, rng.choice([*STEPS, *STEPS, "none"])
            killed(lambda checkpoint: files.cut(QUICK, checkpoint), step)
            while rng.random() < 0.4:
                killed(files.resume, rng.choice(["served", "flipped", "opened", *UNDONE]))
            files.resume()
            completed += files.owner != before
    assert completed > 10
    files.settled()
    writers.check()


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


def test_a_row_touched_since_it_was_verified_is_compared_under_the_hold(files: Capability) -> None:
    mover = files.places[Owner.CANDIDATE].session("m")

    def spoils(step: str) -> None:
        if step == "drained":
            with mover.transaction():
                mover.execute("UPDATE counters SET n = 5 WHERE id = 3")
        if step == "prepared":
            files.places[Owner.CONTROL].writer("UPDATE counters SET n = 1 WHERE id = 3")

    outcome = files.cut(Wishes(), spoils)
    assert not outcome.done
    assert "counters 3: different" in (outcome.reason or "")


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


def test_a_cut_over_that_was_begun_is_resumed_before_another_and_one_mover_is_at_work(
    files: Capability,
) -> None:
    assert killed(lambda checkpoint: files.cut(QUICK, checkpoint), "intended")
    with pytest.raises(HandoverRefused, match="resume it first"):
        files.cut(QUICK)
    assert files.resume() is not None
    assert files.resume() is None
    assert files.cut(QUICK).done


def test_a_hold_that_was_used_up_is_undone_in_time(files: Capability) -> None:
    outcome = files.cut(Wishes(whole=False, hold_s=0.2, skew_s=0.2))
    assert not outcome.done
    assert "used up" in (outcome.reason or "")
    files.settled()


def test_tables_that_are_shut_are_filled_by_the_mover_alone(capability: Capability) -> None:
    writers = Writers(capability, bypassing=False)
    with writers.writing():
        until(writers.more(20), "writes go on")
    way = capability.first
    backfill(way.pairs, way.source, way.target, "m", lambda pair, key: None)
    assert capability.counts(Owner.CANDIDATE) == writers.counts
    assert capability.words(Owner.CANDIDATE) == capability.words(Owner.CONTROL)
    stranger = capability.places[Owner.CANDIDATE].session()
    with pytest.raises(Exception, match="mov"):
        stranger.execute("UPDATE counters SET n = 0")
    capability.settled()
    writers.check()


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


def test_values_that_are_computed_on_the_way_stay_where_they_are_on_the_way_back(
    place: Make, tmp_path: Path
) -> None:
    control, candidate = place("sqlite"), place("sqlite")
    old = control.writer(
        "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, body TEXT, secret TEXT DEFAULT 'kept')"
    )
    new = candidate.writer(
        "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, body TEXT, letters INTEGER)"
    )
    columns = {"id": "id", "body": "body", "letters": {"sql": "length(body)"}}
    move = Move.model_validate(
        {
            "name": "m",
            "source_env": "A",
            "target_env": "B",
            "tables": [{"table": "t", "columns": columns}],
        }
    )
    way = forward("m", control.database, candidate.database, pair_tables(move, old, new))
    Capture(way.source, "m", [pair.source for pair in way.pairs]).install()
    reverse.install(way)
    proxy = FakeProxy()
    for number, writer in enumerate([old, new, old]):
        writer.execute("INSERT INTO t (id, body) VALUES (?, ?)", (number, "x" * number))
        if writer is new:
            new.execute("UPDATE t SET letters = length(body)")
        with open_crossing(way) as crossing, open_ownership(tmp_path / "owner.jsonl") as ledger:
            assert cutover.run(crossing, [proxy], ledger).done
        way = way.turned()
    new.execute("UPDATE t SET body = 'new', letters = 3 WHERE id = 0")
    with open_crossing(way) as crossing:
        while crossing.step().entries:
            pass
    assert old.rows("SELECT * FROM t ORDER BY id") == [
        (0, "new", "kept"),
        (1, "x", "kept"),
        (2, "xx", "kept"),
    ]
    assert new.rows("SELECT * FROM t ORDER BY id") == [(0, "new", 3), (1, "x", 1), (2, "xx", 2)]
