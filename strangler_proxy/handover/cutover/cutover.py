"""A cut-over from beginning to end, and what is left to do of one whose mover was killed."""

import time
from collections.abc import Callable, Sequence

from strangler_proxy.handover import hold, proof
from strangler_proxy.handover.crossing import Crossing
from strangler_proxy.handover.cutover.attempt import Attempt
from strangler_proxy.handover.cutover.ending import finish, open_target, undo
from strangler_proxy.handover.cutover.holding import cut_over
from strangler_proxy.handover.cutover.outcome import Outcome
from strangler_proxy.handover.cutover.preparing import prepare
from strangler_proxy.handover.cutover.timing import Checkpoint, Timing
from strangler_proxy.handover.cutover.wishes import Wishes
from strangler_proxy.handover.deciding import Next, next_after_crash
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.hold import Proxy
from strangler_proxy.handover.ownership import OwnerLedger


def _nothing(_: str) -> None:
    pass


def run(
    crossing: Crossing,
    proxies: Sequence[Proxy],
    ledger: OwnerLedger,
    wishes: Wishes | None = None,
    checkpoint: Checkpoint = _nothing,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Cut over to the other side of the way; an Outcome says whether it was, and why not.

    Raises HandoverFault before anything is begun: the tables or proxies are not ready, somebody
    bypasses a proxy, or sides differ. Raises Unsettled when a database was lost in the middle: open
    the way and `resume`.
    """
    if ledger.now.intent:
        raise HandoverRefused(f"a cut-over of {crossing.way.move} was begun: resume it first")
    attempt = _attempt(crossing, proxies, ledger, wishes or Wishes(), checkpoint, clock)
    with proof.begin(crossing, attempt.wishes.hold_s) as proved:
        prepare(attempt, proved)
        return cut_over(attempt, proved)


def resume(
    crossing: Crossing,
    proxies: Sequence[Proxy],
    ledger: OwnerLedger,
    wishes: Wishes | None = None,
    checkpoint: Checkpoint = _nothing,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome | None:
    """Complete or undo what was begun before; None when nothing was. Safe to be killed in, too.

    To be called whenever a way is opened, before its tail is run. Raises HandoverFault when it
    cannot be settled now.
    """
    if not ledger.now.intent:
        return None
    attempt = _attempt(crossing, proxies, ledger, wishes or Wishes(), checkpoint, clock)
    attempt.holds = ledger.now.holds
    match _next(crossing, ledger):
        case Next.COMPLETE:
            attempt.warnings += hold.serve(proxies, crossing.way.owner.other)
            checkpoint("served")
            open_target(attempt)  # what takes more than one statement may be half open
            return finish(attempt)
        case Next.DECIDE:
            if hold.serve(proxies, crossing.way.owner.other):
                return undo(attempt, "a proxy did not confirm the flip")
            checkpoint("flipped")
            open_target(attempt)
            return finish(attempt)
    return undo(attempt, "the mover ended before it was decided")


def _attempt(
    crossing: Crossing,
    proxies: Sequence[Proxy],
    ledger: OwnerLedger,
    wishes: Wishes,
    checkpoint: Checkpoint,
    clock: Callable[[], float],
) -> Attempt:
    """Over a way that begins where the ledger says that the tables are owned; or refused."""
    owner = ledger.now.owner
    if owner != crossing.way.owner:
        raise HandoverRefused(
            f"{crossing.way.move} is owned by the {owner} ({ledger.path}): turn the way round"
        )
    timing = Timing(clock, checkpoint, wishes.hold_s, wishes.skew_s)
    return Attempt(crossing, proxies, ledger, wishes, timing)


def _next(crossing: Crossing, ledger: OwnerLedger) -> Next:
    """What both fences say; HandoverRefused when one is not there any more."""
    missing = (
        *crossing.source_fence.missing(crossing.source),
        *crossing.target_fence.missing(crossing.target),
    )
    if missing:
        raise HandoverRefused(
            f"{sentence}: how far it came cannot be known" for sentence in missing
        )
    return next_after_crash(
        ledger.now.intent,
        crossing.source_fence.state(crossing.source).standing,
        crossing.target_fence.state(crossing.target).standing,
    )
