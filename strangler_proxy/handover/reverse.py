"""Capture at the side that follows, and the fences of both: there before any cut-over begins.

The tail's own writes are the mover's and leave no entries, so forward and reverse make no loop. All
of it stays when a cut-over is undone: the tables that follow are shut, so nothing is captured.
"""

from strangler_proxy.handover.counted import counted
from strangler_proxy.handover.databases.port import Session
from strangler_proxy.handover.deciding import disagreement
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.ports import CapturePort
from strangler_proxy.handover.way import Way


def install(way: Way) -> None:
    """Make what is missing at both sides, and leave what is there as it is; captures that an
    earlier version made are brought up to date.

    Raises LockBusy when writers keep a table all the time.
    """
    way.target_fence().install(shut=True)
    way.source_fence().install(shut=False)
    way.reverse_capture().install()
    way.turned().reverse_capture().upgrade()


def refuse_unready(way: Way, capture: CapturePort, source: Session, target: Session) -> None:
    """HandoverRefused with every reason why nothing may begin: triggers that do not work, fences
    that contradict the owner, writes at the side that must not have any.
    """
    reverse = way.reverse_capture()
    missing = (
        *capture.missing(source),
        *way.source_fence().missing(source),
        *way.target_fence().missing(target),
        *reverse.missing(target),
    )
    reasons = [f"{sentence}: writes were not seen" for sentence in missing]
    if not reasons:
        reasons += against(way, source, target)
    if reasons:
        raise HandoverRefused(reasons)


def refuse_contradiction(way: Way, source: Session, target: Session) -> None:
    """HandoverRefused when the fences say that another than the way's owner has the tables."""
    reasons = _contradictions(way, source, target)
    if reasons:
        raise HandoverRefused(reasons)


def against(way: Way, source: Session, target: Session) -> list[str]:
    """What fences and captures say against the owner, all of them being there: sentences."""
    strange = _strange(way, target)
    return [*_contradictions(way, source, target), *([strange] if strange else [])]


def _contradictions(way: Way, source: Session, target: Session) -> list[str]:
    found = disagreement(
        way.source_fence().state(source).standing, way.target_fence().state(target).standing
    )
    return [f"{way.move}, owned by the {way.owner}: {found}"] if found else []


def _strange(way: Way, target: Session) -> str | None:
    waiting = way.reverse_capture().backlog(target).entries
    if not waiting:
        return None
    changes = counted(waiting, "change was", "changes were")
    return (
        f"{changes} made to the {way.owner.other}'s tables by others than the mover, while they "
        "were not the owner's: verify, and repair what they did"
    )
