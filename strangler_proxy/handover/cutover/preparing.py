"""Before the hold, while writes go on: all that can be done by then, and every reason not to begin.

Whoever is killed here leaves nothing to settle: the ledger has no intent yet.
"""

from strangler_proxy.handover import bypassing, proof, reverse
from strangler_proxy.handover.cutover.attempt import Attempt
from strangler_proxy.handover.proof import Proof


def prepare(attempt: Attempt, proved: Proof) -> None:
    """Make ready, catch up and verify. Raises HandoverFault with nothing begun."""
    crossing, wishes, timing = attempt.crossing, attempt.wishes, attempt.timing
    way = crossing.way
    timing.begin()
    for proxy in attempt.proxies:
        proxy.prepare(way.owner.other)
    reverse.install(way)
    reverse.refuse_unready(way, crossing.capture, crossing.source, crossing.target)
    timing.ended("installed")
    proof.caught_up(crossing, wishes.small, wishes.catch_up_s, timing.clock)
    timing.ended("caught up")
    attempt.shapes = attempt.look()
    _rehearse(attempt)
    if wishes.whole:
        proved.whole()
    proved.few()
    timing.ended("proved")
    # Advancing a sequence may rebuild a table's header; under the hold it is only looked at.
    attempt.number(wishes.margin)
    timing.ended("numbered ahead")
    timing.checkpoint("prepared")


def _rehearse(attempt: Attempt) -> None:
    wishes = attempt.wishes
    if not wishes.rehearsal_s or wishes.despite_writers:
        return  # nobody is kept waiting for what would change nothing
    how = (wishes.writers, wishes.rehearsal_s, wishes.drain_s, attempt.timing.clock)
    bypassing.refuse(bypassing.rehearse(attempt.crossing, attempt.proxies, *how), told=False)
    attempt.timing.ended("rehearsed")
