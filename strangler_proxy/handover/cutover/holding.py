"""The moment in which writers wait: from the hold to the flip, or all the way back.

Each step raises what keeps it from going on; then everything is undone, since the target is shut.
"""

from strangler_proxy.handover import bypassing, hold
from strangler_proxy.handover.bypassing import Watch
from strangler_proxy.handover.cutover.attempt import Attempt
from strangler_proxy.handover.cutover.ending import finish, open_target, undo
from strangler_proxy.handover.cutover.outcome import Outcome
from strangler_proxy.handover.cutover.timing import Late
from strangler_proxy.handover.databases.port import Session
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.ownership import OwnerKind
from strangler_proxy.handover.proof import Proof
from strangler_proxy.handover.writers import judge_caught

_SHORTEST_DECISION_S = 0.05


def cut_over(attempt: Attempt, proved: Proof) -> Outcome:
    """Everything from the intent to the record of how it ended. Raises Unsettled."""
    attempt.ledger.record(OwnerKind.INTENDED, owner=str(attempt.crossing.way.owner))
    attempt.timing.checkpoint("intended")
    attempt.proved, attempt.applied_before = proved, attempt.crossing.applied
    try:
        watch = _hold(attempt)
        _raise_fence(attempt)
        _refuse_bypassing(attempt, watch)
        _drain(attempt)
        proved.rest()
        attempt.timing.ended("verified")
        _number(attempt)
        _decide(attempt)
        _flip(attempt)
    except Exception as fault:  # noqa: BLE001 - whatever it was, everything goes back
        return undo(attempt, str(fault) or type(fault).__name__)
    open_target(attempt)
    return finish(attempt)


def _hold(attempt: Attempt) -> Watch:
    attempt.timing.ask()
    wishes = attempt.wishes
    attempt.holds = hold.acquire(attempt.proxies, wishes.hold_s, wishes.drain_s)
    attempt.ledger.record(OwnerKind.HELD, sync=False, holds=dict(attempt.holds))
    watch = Watch(attempt.crossing)
    attempt.timing.ended("held")
    return watch


def _raise_fence(attempt: Attempt) -> None:
    seconds = attempt.timing.fence_s()
    wait_s = min(attempt.wishes.writers_s, seconds)
    attempt.crossing.source_fence.raise_(attempt.crossing.source, seconds, wait_s)
    attempt.timing.ended("fenced")


def _refuse_bypassing(attempt: Attempt, watch: Watch) -> None:
    """What bypassed a proxy is carried over all the same; but it would have met the fence."""
    wishes = attempt.wishes
    report = judge_caught(watch.appeared(), wishes.writers, "before the fence was up")
    attempt.warnings += bypassing.refuse(report, wishes.despite_writers)


def _drain(attempt: Attempt) -> None:
    if not attempt.crossing.drain(attempt.timing.late):
        raise Late("the tail did not become empty while requests were held")
    attempt.timing.ended("drained")


def _number(attempt: Attempt) -> None:
    attempt.timing.refuse_late()
    attempt.warnings += attempt.number(0)
    attempt.timing.ended("numbered")


def _decide(attempt: Attempt) -> None:
    _refuse_changed(attempt)
    attempt.timing.refuse_late()
    crossing = attempt.crossing

    def pending(session: Session) -> bool:
        return bool(crossing.capture.entries(session, 1))

    decided = crossing.source_fence.make_permanent(
        crossing.source, pending, max(_SHORTEST_DECISION_S, attempt.timing.left_s())
    )
    if not decided:
        raise Late("the fence lapsed, or somebody wrote behind it, before it was decided")
    attempt.timing.ended("decided")


def _refuse_changed(attempt: Attempt) -> None:
    """No fence stops an ALTER, nor MySQL's TRUNCATE, which capture does not see either."""
    now = attempt.look()
    changed = [table for table, shape in attempt.shapes.items() if now[table] != shape]
    if changed:
        raise HandoverRefused(
            f"altered, truncated or replaced while it was handed over: {', '.join(changed)}"
        )


def _flip(attempt: Attempt) -> None:
    hold.flip(attempt.proxies, attempt.holds)
    attempt.timing.ended("flipped")
