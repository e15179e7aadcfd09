"""Hand the writes of a move's tables over to the other side, or leave everything as it was.

The order of the steps is the protocol, which model/handover.pml checks. Until the fence of the
owner's tables is made permanent everything can be undone, since nobody but the mover has written at
the target; once the target's fence is lifted there is only forward. Between the two both sides are
shut. Killed anywhere, `resume` finds from both fences what is to be done, before anything else is.

Rollback is the same, over the way turned round.

Each stage has its module: `preparing` while writes go on, `holding` while writers wait,
`ending` for how it ends. Where the model's transitions are: tail.drain is Crossing.drain,
verify.changed_since is Proof.rest, flip.flip is hold.flip under a hold and hold.serve without one,
ledger.record is OwnerLedger.record, cutover.undo is ending.undo; the others are named as there.
"""

from strangler_proxy.handover.cutover.cutover import resume, run
from strangler_proxy.handover.cutover.outcome import Outcome, Unsettled, told
from strangler_proxy.handover.cutover.timing import Checkpoint
from strangler_proxy.handover.cutover.wishes import Wishes

__all__ = ["Checkpoint", "Outcome", "Unsettled", "Wishes", "resume", "run", "told"]
