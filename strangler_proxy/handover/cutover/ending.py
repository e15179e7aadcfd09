"""How a cut-over ends: forward, once the target's tables are open; back, as long as they are shut.

A hold is released last but one: who waited must find the side open that serves.
"""

from strangler_proxy.handover import hold
from strangler_proxy.handover.cutover.attempt import Attempt
from strangler_proxy.handover.cutover.outcome import Outcome, Unsettled
from strangler_proxy.handover.fence import Standing
from strangler_proxy.handover.ownership import OwnerKind
from strangler_proxy.handover.way import Owner
from strangler_proxy.running.client import Released


def open_target(attempt: Attempt) -> None:
    """Let the new owner's tables take writes. From here on only forward. Raises Unsettled."""
    crossing = attempt.crossing
    try:
        crossing.target_fence.lift(crossing.target)
    except Exception as fault:
        # It may be open, or be opened yet by a statement that is still on its way.
        raise Unsettled(f"it is not known whether the target was opened: {fault}") from fault
    attempt.timing.ended("opened")


def finish(attempt: Attempt) -> Outcome:
    """Send on what is held, and record the new owner."""
    owner = attempt.crossing.way.owner.other
    released = _release(attempt)
    attempt.timing.ended("released")
    attempt.ledger.record(OwnerKind.DONE, owner=str(owner))
    attempt.timing.ended("recorded")
    return _outcome(attempt, owner, None, released)


def undo(attempt: Attempt, reason: str) -> Outcome:
    """Serve by the owner, open its tables, send on what is held, and record that.

    Raises Unsettled when a database does not let it.
    """
    owner = attempt.crossing.way.owner
    try:
        attempt.warnings += hold.serve(attempt.proxies, owner)
        attempt.timing.ended("served back")
        _lift(attempt)
    except Exception as fault:
        raise Unsettled(f"{reason}; it could not be undone yet: {fault}") from fault
    attempt.timing.ended("lifted")
    released = _release(attempt)
    attempt.timing.ended("released back")
    attempt.ledger.record(OwnerKind.UNDONE, why=reason)
    attempt.timing.ended("recorded back")
    return _outcome(attempt, owner, reason, released)


def _lift(attempt: Attempt) -> None:
    """One that never came up need not wait for those that kept it from coming up."""
    fence, source = attempt.crossing.source_fence, attempt.crossing.source
    if fence.state(source).standing != Standing.OPEN:
        fence.lift(source)


def _release(attempt: Attempt) -> Released:
    """No fault of a proxy stops it: a hold ends by itself."""
    released = hold.release(attempt.proxies, attempt.holds)
    attempt.timing.release()
    return released


def _outcome(attempt: Attempt, owner: Owner, reason: str | None, released: Released) -> Outcome:
    timing, proved = attempt.timing, attempt.proved
    if released.broken and reason is None and timing.asked_at is not None:
        attempt.warnings += (f"a hold did not last to the end: {released.broken}",)
    return Outcome(
        done=reason is None,
        owner=owner,
        reason=reason,
        steps_s=dict(timing.steps_s),
        hold_s=timing.held_s,
        held=released.held,
        drained=attempt.crossing.applied - attempt.applied_before if proved else 0,
        compared=proved.rows if proved else 0,
        warnings=attempt.warnings,
    )
