"""A cut-over that is killed, anywhere, is completed or undone."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from strangler_proxy.handover import cutover
from strangler_proxy.handover.cutover import Unsettled
from strangler_proxy.handover.faults import HandoverFault, HandoverRefused
from strangler_proxy.handover.ownership import open_ownership, read_ownership
from strangler_proxy.handover.way import Owner
from tests.integration.handover.cutover.conftest import Make
from tests.integration.handover.cutting import QUICK, Capability, Writers, killed

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


def test_a_cut_over_that_was_begun_is_resumed_before_another_and_one_mover_is_at_work(
    files: Capability,
) -> None:
    assert killed(lambda checkpoint: files.cut(QUICK, checkpoint), "intended")
    with pytest.raises(HandoverRefused, match="resume it first"):
        files.cut(QUICK)
    assert files.resume() is not None
    assert files.resume() is None
    assert files.cut(QUICK).done
