"""The mover: installs capture, copies, then carries changes over until it is told to stop.

Whatever it is killed at, the same run again goes on: what is in the ledger was done, what is not is
safe to do again, and rows have their checkpoint. A database that goes away is waited for. What a
person must decide ends the run: a changed schema, a truncated table, a missing trigger, a row that
the target cannot take.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Protocol

from strangler_proxy.handover import fingerprint
from strangler_proxy.handover.backfill import Limits, backfill
from strangler_proxy.handover.databases.port import (
    Database,
    DatabaseKind,
    Dialect,
    Session,
)
from strangler_proxy.handover.faults import (
    DatabaseUnreachable,
    HandoverFault,
    HandoverRefused,
    LockBusy,
)
from strangler_proxy.handover.ledger import Ledger
from strangler_proxy.handover.loading.later import left_to
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.outage import Outage
from strangler_proxy.handover.progress import Advance
from strangler_proxy.handover.site import (
    Claimed,
    Ends,
    Site,
    changes_there,
    checkpoint_there,
    claim,
    claims,
    declared,
    open_site,
)
from strangler_proxy.handover.standing import Begun, Phase, RecordKind
from strangler_proxy.handover.tail import Tail


class _Told(Exception):
    """The run was told to stop in the middle of a copy."""


class Ending(StrEnum):
    """How a run ended: caught up as it was asked to, or told to stop while it did what."""

    CAUGHT_UP = "caught up"
    TAILING = "stopped while tailing"
    EARLY = "stopped before it was done"


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
    """One run of a move. `ledger` is held by this process; `stop` may be set at any time."""

    move: Move
    ends: Ends
    ledger: Ledger
    teller: Teller
    stop: threading.Event
    wishes: Wishes = field(default_factory=Wishes)
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    _outage: Outage = field(init=False)
    _checked_at: float = field(init=False, default=float("-inf"))
    _behind_at: float = field(init=False, default=float("-inf"))
    _applied: int = field(init=False, default=0)

    def run(self) -> Ending:
        """Go on until caught up or told to stop.

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
        connected = False
        while not self.stop.is_set():
            try:
                with open_site(self.move, self.ends) as site:
                    for each in claims(site.source, site.target, self.move):
                        self._claim(each)
                    connected = True
                    return self._carry(site)
            except _Told:
                return Ending.EARLY
            except (DatabaseUnreachable, LockBusy) as fault:
                if not connected:
                    raise
                self._wait_out(fault)
        return self._stopped()

    def _stopped(self) -> Ending:
        copied = self.ledger.standing.phase == Phase.TAIL
        return Ending.TAILING if copied and not self.wishes.until_caught_up else Ending.EARLY

    def _wait_out(self, fault: HandoverFault) -> None:
        wait_s = self._outage.failed(self.clock(), fault)
        if self._outage.tries == 1:
            self.teller.said(f"{fault}; trying again until it goes on")
        self.stop.wait(wait_s)

    def _went_on(self) -> None:
        lasted_s = self._outage.over(self.clock())
        if lasted_s is not None:
            self.teller.said(f"going on again after {lasted_s:.0f} s")

    def _claim(self, act: Callable[[], None]) -> None:
        """A mover that died a moment ago may not be gone at the server yet: try for a while."""
        deadline = self.clock() + self.wishes.claim_s
        while True:
            try:
                return act()
            except Claimed:
                if self.clock() >= deadline or self.stop.is_set():
                    raise
            self.stop.wait(0.25)

    def _carry(self, site: Site) -> Ending:
        self._prepare(site)
        if self.ledger.standing.phase == Phase.CAPTURE:
            site.capture.install()
            self._check(site)  # altered meanwhile, it would not be seen later
            self.ledger.record(RecordKind.CAPTURED)
            self.teller.said("every change is captured from now on")
        self._check(site)
        self._copy(site)
        return self._tail(site)

    def _prepare(self, site: Site) -> None:
        """Begin the move, or see that it is still the one that was begun."""
        standing = self.ledger.standing
        if standing.phase == Phase.REMOVAL:
            raise HandoverRefused(
                f"the removal of {self.move.name} was begun and did not end: run "
                f"`strangler data remove {self.move.name}` again"
            )
        if standing.begun is None:
            _refuse_leftovers(site, str(self.ledger.path))
            self.ledger.record(RecordKind.BEGUN, **_begun(site))
        else:
            _refuse_another(standing.begun, site, str(self.ledger.path))

    def _check(self, site: Site) -> None:
        """See that the tables are as they were, and that capture misses nothing."""
        standing = self.ledger.standing
        if standing.begun is not None:
            fingerprint.check(standing.begun.fingerprint, site.pairs, site.source, site.target)
        missing = site.capture.missing(site.source) if standing.captured_at else ()
        if missing:
            raise HandoverRefused(
                f"{sentence}: changes were missed. Run `strangler data remove {self.move.name}`, "
                "then start the move again"
                for sentence in missing
            )
        self._checked_at = self.clock()

    def _copy(self, site: Site) -> None:
        limits = Limits(budget_s=self.wishes.chunk_s, rows_per_s=self.wishes.rows_per_s)

        def advanced(advance: Advance) -> None:
            self.teller.copied(advance)
            self._went_on()
            if self.stop.is_set():
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

    def _tail(self, site: Site) -> Ending:
        tail = Tail(self.move.name, site.pairs, site.capture, site.source, site.target)
        caught_up = False
        while not self.stop.is_set():
            if self.clock() - self._checked_at >= self.wishes.check_s:
                self._check(site)
            applied = tail.step()
            self._applied += applied.entries
            self._went_on()
            if self.clock() - self._behind_at >= self.wishes.tell_s:
                self._behind(site)
            if applied.more:
                continue
            # All that had been captured when the step began is at the target.
            if not caught_up:
                caught_up = True
                self._check(site)
                self.ledger.record(RecordKind.CAUGHT_UP)
                self.teller.said("caught up")
            if self.wishes.until_caught_up:
                self._behind(site)
                return Ending.CAUGHT_UP
            if not applied.entries:
                self.stop.wait(self.wishes.idle_s)
        return self._stopped()

    def _behind(self, site: Site) -> None:
        backlog = site.capture.backlog(site.source)
        age_s = 0.0 if backlog.oldest_at is None else max(0.0, self.wall() - backlog.oldest_at)
        self.teller.behind(Lag(backlog.entries, age_s, self._applied))
        self._behind_at = self.clock()


@dataclass(slots=True)
class _Copied:
    """The target as the copy opens it: by a connection that waits until a dead one's is gone.

    Otherwise a page that was being committed when its mover died could land behind newer rows.
    """

    database: Database
    claimed: Callable[[Callable[[], None]], None]
    kind: DatabaseKind = field(init=False)
    shown: str = field(init=False)

    def __post_init__(self) -> None:
        self.kind, self.shown = self.database.kind, self.database.shown

    @property
    def dialect(self) -> Dialect:
        return self.database.dialect

    def session(self, mover: str | None = None, statement_s: float = 60.0) -> Session:
        session = self.database.session(mover, statement_s)
        try:
            self.claimed(partial(claim, session, f"{mover} copy"))
        except BaseException:
            session.close()
            raise
        return session


def _begun(site: Site) -> dict[str, str | None]:
    """What later runs must find again; taken of tables that are not altered meanwhile."""
    taken = fingerprint.take(site.pairs, site.source, site.target)
    with open_site(site.move, site.ends) as again:
        if again.pairs != site.pairs:
            raise HandoverRefused("a table was altered at this very moment: run it again")
    return {
        "declared": declared(site.move),
        "source": site.ends.source.shown,
        "target": site.ends.target.shown,
        "fingerprint": taken,
        "home": site.home,
    }


def _refuse_leftovers(site: Site, ledger: str) -> None:
    """Without its ledger, nobody knows whether all changes since then were captured."""
    name = site.move.name
    if changes_there(site.source, site.move, site.home) or checkpoint_there(site.target, site.move):
        raise HandoverRefused(
            f"the databases hold what an earlier run of {name} made, and {ledger} does not know "
            f"of it: put that ledger back, or run `strangler data remove {name}` and begin again"
        )


def _refuse_another(begun: Begun, site: Site, ledger: str) -> None:
    now = (declared(site.move), site.ends.source.shown, site.ends.target.shown)
    names = ("its tables in the file of moves", site.move.source_env, site.move.target_env)
    then = (begun.declared, begun.source, begun.target)
    reasons = [
        f"{name} changed since {site.move.name} was begun at {begun.at} ({ledger}): put it back, "
        f"or run `strangler data remove {site.move.name}` first"
        for name, before, after in zip(names, then, now, strict=True)
        if before != after
    ]
    if reasons:
        raise HandoverRefused(reasons)
