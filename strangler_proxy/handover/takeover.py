"""A cut-over or a rollback as one command: a side takes the tables over, or nothing has changed.

It takes the turn, so that a running `start` stands aside; settles what was begun before; sees that
everything is ready; and hands over. Told to stop it goes back at once while that is possible, and
else goes on to the end. A connection that is lost in the middle is tried again for a while; what is
still not settled then, the next run of this or of `start` settles.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from strangler_proxy.handover import cutover
from strangler_proxy.handover.beginning import refuse_another, refuse_ended
from strangler_proxy.handover.claiming import CLAIM_S, claim_both
from strangler_proxy.handover.crossing import Crossing, crossing_over
from strangler_proxy.handover.cutover import Outcome, Unsettled, Wishes
from strangler_proxy.handover.faults import HandoverFault
from strangler_proxy.handover.hold import Proxy
from strangler_proxy.handover.ledger import Ledger, last_verified, read_ledger, running_now
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.ownership import (
    OwnerLedger,
    open_ownership,
    ownership_beside,
    read_ownership,
)
from strangler_proxy.handover.readiness import Check, Known, not_ready, readiness
from strangler_proxy.handover.site import Ends, Site, open_site
from strangler_proxy.handover.standing import standing
from strangler_proxy.handover.turn import take_turn
from strangler_proxy.handover.way import Owner

STATEMENT_S = 20.0
SETTLE_S = 30.0
TOLD = "told to stop"
_BETWEEN_S = 0.5
_UNDOABLE = frozenset(
    {
        *("installed", "caught up", "rehearsed", "proved", "numbered ahead", "prepared"),
        *("held", "fenced", "drained", "verified", "numbered", "decided", "flipped"),
    }
)
"""Steps behind which it can still be left: the target's tables are shut."""


class Interrupted(HandoverFault):
    """Told to stop; the message says so."""


class NotReady(HandoverFault):
    """Some check is bad; `checks` are all of them."""

    def __init__(self, checks: Sequence[Check]) -> None:
        super().__init__("\n".join(not_ready(checks)))
        self.checks = tuple(checks)


@dataclass(slots=True)
class Takeover:
    """The tables of a move go over to `to`. `said` gets sentences, `ended` the name of each step
    that has ended: it must not wait, since writers may be waiting.
    """

    move: Move
    ends: Ends
    ledger: Path
    proxies: Sequence[Proxy]
    to: Owner
    wishes: Wishes = field(default_factory=Wishes)
    stop: threading.Event = field(default_factory=threading.Event)
    said: Callable[[str], None] = lambda _: None
    ended: Callable[[str], None] = lambda _: None
    settle_s: float = SETTLE_S
    claim_s: float = CLAIM_S
    clock: Callable[[], float] = time.monotonic
    _begun: bool = False

    @property
    def command(self) -> str:
        """What people call it."""
        return "cutover" if self.to == Owner.CANDIDATE else "rollback"

    def look(self) -> tuple[Check, ...]:
        """Every check, with nothing changed, and also while a mover is at work."""
        with open_site(self.move, self.ends, STATEMENT_S) as site:
            return self._look(site, running_now(self.ledger))

    def run(self) -> Outcome | None:
        """Hand the tables over; None when they are that side's already.

        Raises NotReady and other HandoverFault with nothing changed, Interrupted likewise;
        Unsettled when what was begun could be neither done nor undone for `settle_s`;
        LedgerLocked or Claimed when another command is at work; LedgerError, OSError.
        """
        refuse_ended(self.move.name, standing(read_ledger(self.ledger)))
        owned = read_ownership(ownership_beside(self.ledger))
        if not owned.intent:
            if owned.owner == self.to:
                return None
            # Before a running mover is asked to stand aside.
            checks = self.look()
            if not_ready(checks):
                raise NotReady(checks)
        with take_turn(self.ledger, self.command, pause=self._pause) as held:
            return self._settle_or_hand_over(held)

    def _settle_or_hand_over(self, held: Ledger) -> Outcome | None:
        """Again, over new connections, for as long as something is begun and not settled."""
        deadline, told = self.clock() + self.settle_s, ""
        while True:
            try:
                settled, outcome = self._once(held)
            except (HandoverFault, OSError) as fault:
                if not read_ownership(ownership_beside(self.ledger)).intent:
                    raise
                if self.clock() >= deadline:
                    raise Unsettled(str(fault)) from fault
                if str(fault) != told:
                    told = str(fault)
                    self.said(f"{told}; trying again to settle it")
            else:
                if settled:
                    return outcome
                continue  # whoever owns the tables now, the way is opened anew
            time.sleep(_BETWEEN_S)

    def _once(self, held: Ledger) -> tuple[bool, Outcome | None]:
        """Whether it came to an end, and which; else what was begun before is settled."""
        with open_site(self.move, self.ends, STATEMENT_S) as site:
            pause = time.sleep if self._begun else self._pause
            claim_both(
                *(site.source, site.target, self.move.name, self.claim_s), *(self.clock, pause)
            )
            with open_ownership(ownership_beside(self.ledger)) as owners:
                way = site.way_of(owners.now.owner)
                crossing = crossing_over(way, site.source, site.target)
                if owners.now.intent:
                    return self._resumed(crossing, owners)
                if owners.now.owner == self.to:
                    return True, None
                return True, self._hand_over(site, crossing, owners, held)

    def _resumed(self, crossing: Crossing, owners: OwnerLedger) -> tuple[bool, Outcome | None]:
        self.said("a cut-over was begun and did not end: settling it")
        outcome = cutover.resume(crossing, self.proxies, owners, checkpoint=self.ended)
        if outcome is None or self._begun or outcome.owner == self.to:
            return True, outcome
        for sentence in cutover.told(outcome):
            self.said(sentence)
        return False, outcome

    def _hand_over(
        self, site: Site, crossing: Crossing, owners: OwnerLedger, held: Ledger
    ) -> Outcome:
        begun = held.standing.begun
        if begun is not None:
            refuse_another(begun, self.move, self.ends, str(held.path))
        checks = self._look(site, None)
        if not_ready(checks):
            raise NotReady(checks)

        def watch() -> None:
            if self.stop.is_set():
                raise Interrupted(TOLD)

        crossing.watch = watch
        self._begun = True
        return cutover.run(crossing, self.proxies, owners, self.wishes, self._checkpoint)

    def _checkpoint(self, step: str) -> None:
        self.ended(step)
        if step in _UNDOABLE and self.stop.is_set():
            raise Interrupted(TOLD)

    def _look(self, site: Site, runs: str | None) -> tuple[Check, ...]:
        known = Known(
            standing(read_ledger(self.ledger)),
            read_ownership(ownership_beside(self.ledger)),
            last_verified(self.ledger),
            runs,
        )
        return readiness(site, known, self.proxies, self.to, self.wishes.despite_writers)

    def _pause(self, seconds: float) -> None:
        self.stop.wait(seconds)
        if self.stop.is_set():
            raise Interrupted(TOLD)
