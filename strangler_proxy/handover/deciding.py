"""What a cut-over decides: what a started mover does with one that was begun, and how time is cut.

Pure: reads no clock and asks no database. The rules are those of model/handover.pml.
"""

from enum import StrEnum

from strangler_proxy.handover.fence import Standing

SHORTEST_FENCE_S = 0.05


class Next(StrEnum):
    """What is to be done first when a mover starts."""

    NOTHING = "nothing was begun"
    COMPLETE = "the target's tables are open: flip everywhere and record it"
    DECIDE = "both sides are shut: go on at the flip"
    UNDO = "it was not decided: go back"


def next_after_crash(intent: bool, source: Standing, target: Standing) -> Next:
    """What the ledger's intent and both fences say together; the ledger alone knows too little.

    The target's fence is opened after the decision only, and the owner's is shut in it.
    """
    if not intent:
        return Next.NOTHING
    if target != Standing.SHUT:
        return Next.COMPLETE
    return Next.DECIDE if source == Standing.SHUT else Next.UNDO


def disagreement(source: Standing, target: Standing) -> str | None:
    """Why no cut-over may begin, nothing being under way: the owner writes, and it alone."""
    if target != Standing.SHUT:
        return f"the fence of the tables that follow is {target}, and must be shut"
    if source == Standing.SHUT:
        return "the fence of the owner's tables is shut, and nothing of a cut-over is recorded"
    return None


def fence_seconds(asked_at: float, now: float, hold_s: float, skew_s: float) -> float | None:
    """How long the owner's fence may stand, so that it lapses before any proxy's hold runs out.

    `asked_at` is when the hold was asked for: no worker has begun it earlier. `skew_s` is what
    clocks and messages may be wrong by. None: too late to begin.
    """
    left = asked_at + hold_s - skew_s - now
    return left if left >= SHORTEST_FENCE_S else None


def time_left(asked_at: float, now: float, hold_s: float) -> float:
    """Until the first hold may run out."""
    return asked_at + hold_s - now
