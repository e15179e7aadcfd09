"""What a gate says of something that is as it should be, or not yet, or not at all."""

from __future__ import annotations

from strangler_proxy.steps import Verdict
from strangler_proxy.steps.gates import Settled
from tests.unit.steps.fakes import FakePace


def test_what_no_time_mends_has_failed_at_once_with_what_is_left() -> None:
    gate = Settled("routes", "no route leads to the monolith", lambda: "uploads lead to it")
    evidence = gate.begin(FakePace()).look()
    assert (evidence.verdict, evidence.text) == (Verdict.FAILED, "uploads lead to it")
    assert gate.patience_s == 0


def test_what_settles_by_itself_is_asked_until_it_has() -> None:
    left = ["2 wait", "1 waits"]
    gate = Settled("outbox", "nothing waits", lambda: left.pop(0) if left else None, waits_s=30)
    trial = gate.begin(FakePace())
    verdicts = [trial.look().verdict for _ in range(3)]
    assert verdicts == [Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE, Verdict.PASSED]
    assert gate.patience_s == 30


def test_what_a_person_has_to_settle_does_not_fail_the_step() -> None:
    gate = Settled("dead letters", "there are none", lambda: "3 dead letters", waits_s=0)
    assert gate.begin(FakePace()).look().verdict == Verdict.INCONCLUSIVE
