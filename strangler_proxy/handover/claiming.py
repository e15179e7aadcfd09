"""One mover at a time: claims at both databases, by the connections that carry its statements.

A claim is free only once its connection is gone and the last statement of it has ended. So whoever
has both knows that nothing that a dead mover had asked for is still being carried out: neither the
opening of a fence nor a copy of an older row. Every command that changes a move takes both, by the
same names, whichever side owns the tables.
"""

import time
from collections.abc import Callable

from strangler_proxy.handover.databases.port import Session
from strangler_proxy.handover.faults import HandoverFault, LockBusy

CLAIM_S = 15.0
_BETWEEN_S = 0.1


class Claimed(HandoverFault):
    """Another process, of another ledger or machine, is at work on this move."""


def claim(session: Session, name: str) -> None:
    """Be the only one with this name at this database; Claimed if another is."""
    try:
        session.claim(name)
    except LockBusy as busy:
        raise Claimed(str(busy)) from busy


def claim_patiently(
    session: Session,
    name: str,
    wait_s: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """The same, tried for `wait_s`, or until `pause` raises.

    A mover that died a moment ago may not be gone at the server yet.
    """
    deadline = clock() + wait_s
    while True:
        try:
            return claim(session, name)
        except Claimed:
            if clock() >= deadline:
                raise
        pause(_BETWEEN_S)


def claim_both(
    control: Session,
    candidate: Session,
    move: str,
    wait_s: float = CLAIM_S,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Be the move's only mover until the sessions are closed; Claimed when another is at work."""
    claim_patiently(candidate, f"{move} mover", wait_s, clock, pause)
    claim_patiently(control, f"{move} mover at the control", wait_s, clock, pause)
