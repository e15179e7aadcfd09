"""The mover: installs capture, copies, then carries changes over until it is told to stop.

It follows the owner: from the control's tables to the candidate's, and once those were handed over
back again. A cut-over that was begun and did not end is settled before anything is carried. When
another command takes the turn (turn.py), it stands aside between two steps.

Whatever it is killed at, the same run again goes on: what is in the ledger was done, what is not is
safe to do again, and rows have their checkpoint. A database that goes away is waited for. What a
person must decide ends the run: a changed schema, a truncated table, a missing trigger, a row that
the target cannot take.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from strangler_proxy.handover import cutover, fingerprint, reverse
from strangler_proxy.handover.backfill import Limits, backfill
from strangler_proxy.handover.beginning import begin
from strangler_proxy.handover.claiming import claim_both, claim_patiently
from strangler_proxy.handover.crossing import Crossing, crossing_over
from strangler_proxy.handover.databases.port import (
    AnyKind,
    Database,
    Dialect,
    Session,
)
from strangler_proxy.handover.faults import (
    DatabaseUnreachable,
    HandoverFault,
    HandoverRefused,
    LockBusy,
)
from strangler_proxy.handover.hold import Proxy
from strangler_proxy.handover.ledger import Ledger, LedgerLocked, open_ledger
from strangler_proxy.handover.loading.later import left_to
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.outage import Outage
from strangler_proxy.handover.ownership import open_ownership, ownership_beside
from strangler_proxy.handover.progress import Advance
from strangler_proxy.handover.site import Ends, Site, open_site
from strangler_proxy.handover.standing import Phase, RecordKind
from strangler_proxy.handover.turn import ASIDE_S, Turn
from strangler_proxy.handover.way import Owner


class _Told(Exception):
    """The run was told to stop, or to stand aside, in the middle of something."""


class Ending(StrEnum):
    """How a run ended: caught up as it was asked to, told to stop while it did what, or aside.

    Or the move is retired, by now or before: there is nothing to carry, and no fault in that.
    """

    CAUGHT_UP = "caught up"
    TAILING = "stopped while tailing"
    EARLY = "stopped before it was done"
    ASIDE = "stood aside for another command"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the target is behind: entries that wait, and the age of the oldest."""

    entries: int
    oldest_s: float
    applied: int


class Teller(Protocol):
    """Who follows a run."""

    def said(self, sentence: str) -> None:
        """Something happened."""

    def copied(self, advance: Advance) -> None:
        """A page is in place."""

    def behind(self, lag: Lag) -> None:
        """How far the tail is."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a run is asked for, and how often it looks, tells and tries again."""

    until_caught_up: bool = False
    rows_per_s: float | None = None
    chunk_s: float = 0.5
    idle_s: float = 0.1
    tell_s: float = 10.0
    check_s: float = 5.0
    outage_s: float = 3600.0
    claim_s: float = 15.0


@dataclass(slots=True)
class Mover:
    """One run of a move. `ledger` is held by this process; `stop` may be set at any time.

    `proxies` are asked for when a cut-over that was begun is to be settled; `aside` is whether
    another command wants the move.
    """

    move: Move
    ends: Ends
    ledger: Ledger
    teller: Teller
    stop: threading.Event
    wishes: Wishes = field(default_factory=Wishes)
    proxies: Callable[[], Sequence[Proxy]] = tuple
    aside: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    _outage: Outage = field(init=False)
    _owner: Owner = field(init=False, default=Owner.CONTROL)
    _checked_at: float = field(init=False, default=float("-inf"))
    _behind_at: float = field(init=False, default=float("-inf"))
    _applied: int = field(init=False, default=0)

    def run(self) -> Ending:
        """Go on until caught up, told to stop, or to stand aside; a retired move is left alone.

        Raises HandoverFault in its kinds, Claimed when another mover is at work, OSError for the
        ledger; DatabaseUnreachable at once when nothing answers at first, later after `outage_s`.
        """
        self._outage = Outage(self.wishes.outage_s)
        try:
            ending = self._go_on()
        except Exception as fault:
            self.ledger.record(RecordKind.STOPPED, why=str(fault))
            raise
        self.ledger.record(RecordKind.STOPPED, why=str(ending))
        return ending

    def _go_on(self) -> Ending:
        if self.ledger.standing.phase == Phase.RETIRED:
            return Ending.RETIRED  # its old database may be gone
        connected = False
        while not self._told():
            try:
                with open_site(self.move, self.ends) as site:
                    claim_both(
                        *(site.source, site.target, self.move.name, self.wishes.claim_s),
                        *(self.clock, self._pause),
                    )
                    connected = True
                    begin(site, self.ledger)
                    if not self._settled(site):
                        return self._carry(site)
            except _Told:
                break
            except (DatabaseUnreachable, LockBusy, cutover.Unsettled) as fault:
                if not connected:
                    raise
                self._wait_out(fault)
        return self._stopped()

    def _told(self) -> bool:
        return self.stop.is_set() or self.aside()

    def _stopped(self) -> Ending:
        if not self.stop.is_set():
            return Ending.ASIDE
        copied = self.ledger.standing.phase == Phase.TAIL
        return Ending.TAILING if copied and not self.wishes.until_caught_up else Ending.EARLY

    def _pause(self, seconds: float) -> None:
        self.stop.wait(seconds)
        if self._told():
            raise _Told

    def _wait_out(self, fault: HandoverFault) -> None:
        wait_s = self._outage.failed(self.clock(), fault)
        if self._outage.tries == 1:
            self.teller.said(f"{fault}; trying again until it goes on")
        self.stop.wait(wait_s)

    def _went_on(self) -> None:
        lasted_s = self._outage.over(self.clock())
        if lasted_s is not None:
            self.teller.said(f"going on again after {lasted_s:.0f} s")

    def _settled(self, site: Site) -> bool:
        """Whether a cut-over was to be settled: then the owner may be another, and all is opened
        anew.
        """
        with open_ownership(ownership_beside(self.ledger.path)) as owners:
            self._owner = owners.now.owner
            if not owners.now.intent:
                return False
            self.teller.said("a cut-over was begun and did not end: settling it")
            way = site.way_of(self._owner)
            crossing = crossing_over(way, site.source, site.target)
            outcome = cutover.resume(crossing, self.proxies(), owners)
        if outcome:
            for sentence in cutover.told(outcome):
                self.teller.said(sentence)
        return True

    def _carry(self, site: Site) -> Ending:
        way = site.way_of(self._owner)
        if self.ledger.standing.phase == Phase.CAPTURE:
            site.capture.install()
            self._check(site)  # altered meanwhile, it would not be seen later
            self.ledger.record(RecordKind.CAPTURED)
            self.teller.said("every change is captured from now on")
        self._check(site)
        if self._owner == Owner.CONTROL:
            # From here on nobody else has business in the new tables.
            way.target_fence().install(shut=True)
            self._copy(site)
        reverse.install(way)
        crossing = crossing_over(way, site.source, site.target)
        reverse.refuse_contradiction(way, crossing.source, crossing.target)
        if self._owner == Owner.CANDIDATE:
            self.teller.said("the candidate owns the tables: its changes are carried back")
        return self._tail(site, crossing)

    def _check(self, site: Site) -> None:
        """See that the tables are as they were, and that the owner's capture misses nothing."""
        standing = self.ledger.standing
        if standing.begun is not None:
            fingerprint.check(standing.begun.fingerprint, site.pairs, site.source, site.target)
        if standing.captured_at:
            refuse_missed(site.owned_by(self._owner), self._owner)
        self._checked_at = self.clock()

    def _copy(self, site: Site) -> None:
        limits = Limits(budget_s=self.wishes.chunk_s, rows_per_s=self.wishes.rows_per_s)

        def advanced(advance: Advance) -> None:
            self.teller.copied(advance)
            self._went_on()
            if self._told():
                raise _Told
            if self.clock() - self._checked_at >= self.wishes.check_s:
                self._check(site)  # and that our claim's connection is still there

        source, target = self.ends.source, _Copied(self.ends.target, self._claim)
        name, later = self.move.name, left_to(site.capture, source)
        backfill(site.pairs, source, target, name, later, advanced, limits, self.clock)
        self._check(site)
        if self.ledger.standing.copied_at is None:
            self.ledger.record(RecordKind.COPIED)
            self.teller.said("all tables are copied; carrying over what changed meanwhile")

    def _claim(self, session: Session, name: str) -> None:
        claim_patiently(session, name, self.wishes.claim_s, self.clock, self._pause)

    def _tail(self, site: Site, crossing: Crossing) -> Ending:
        caught_up = False
        while not self._told():
            if self.clock() - self._checked_at >= self.wishes.check_s:
                self._check(site)
            applied = crossing.step()
            self._applied += applied.entries
            self._went_on()
            if self.clock() - self._behind_at >= self.wishes.tell_s:
                self._behind(crossing)
            if applied.more:
                continue
            # All that had been captured when the step began is at the other side.
            if not caught_up:
                caught_up = True
                self._check(site)
                self.ledger.record(RecordKind.CAUGHT_UP)
                self.teller.said("caught up")
            if self.wishes.until_caught_up:
                self._behind(crossing)
                return Ending.CAUGHT_UP
            if not applied.entries:
                self.stop.wait(self.wishes.idle_s)
        return self._stopped()

    def _behind(self, crossing: Crossing) -> None:
        backlog = crossing.capture.backlog(crossing.source)
        age_s = 0.0 if backlog.oldest_at is None else max(0.0, self.wall() - backlog.oldest_at)
        self.teller.behind(Lag(backlog.entries, age_s, self._applied))
        self._behind_at = self.clock()


@dataclass(slots=True)
class _Copied:
    """The target as the copy opens it: by a connection that waits until a dead one's is gone.

    Otherwise a page that was being committed when its mover died could land behind newer rows.
    """

    database: Database
    claimed: Callable[[Session, str], None]
    kind: AnyKind = field(init=False)
    shown: str = field(init=False)

    def __post_init__(self) -> None:
        self.kind, self.shown = self.database.kind, self.database.shown

    @property
    def dialect(self) -> Dialect:
        return self.database.dialect

    def session(self, mover: str | None = None, statement_s: float = 60.0) -> Session:
        session = self.database.session(mover, statement_s)
        try:
            self.claimed(session, f"{mover} copy")
        except BaseException:
            session.close()
            raise
        return session


def refuse_missed(site: Site, owner: Owner) -> None:
    """HandoverRefused where triggers of the owner's capture are not there; `site` is as it sees it.

    They are made anew only together with a comparison of all rows.
    """
    name = site.move.name
    again = {
        Owner.CONTROL: f"Run `strangler data remove {name}`, then start the move again",
        Owner.CANDIDATE: f"Run `strangler data verify {name} --repair`, which makes it anew and "
        "copies again what differs",
    }
    missing = site.capture.missing(site.source)
    if missing:
        raise HandoverRefused(
            f"{sentence}: changes were missed. {again[owner]}" for sentence in missing
        )


def run_in_turn(
    ledger: Path,
    mover: Callable[[Ledger], Mover],
    said: Callable[[str], None],
    stop: threading.Event,
    clock: Callable[[], float] = time.monotonic,
) -> Ending:
    """Run movers of this ledger until one ends; while another command has the turn, none.

    Raises what Mover.run does, LedgerLocked when another process has the ledger without the turn.
    """
    turn, deadline = Turn(ledger), clock()
    while True:
        if turn.taken():
            said(f"standing aside for {turn.holder()}")
            turn.wait(stop)
            if stop.is_set():
                return Ending.ASIDE
            said("going on")
            deadline = clock() + ASIDE_S
        try:
            with open_ledger(ledger, "start") as held:
                ending = mover(held).run()
        except LedgerLocked:
            if clock() >= deadline and not turn.taken():
                raise
            stop.wait(0.1)  # whoever had the turn lets go of it, or another has taken it
            if stop.is_set():
                return Ending.ASIDE
            continue
        if ending is not Ending.ASIDE:
            return ending
