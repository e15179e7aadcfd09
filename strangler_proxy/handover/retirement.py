"""Retire a move after its soak: the new tables stay alone, and there is no way back any more.

What is taken away goes in an order in which a kill leaves neither two open sides nor a write that
is nowhere: first it is recorded, so that no mover and no rollback lean on what goes; then what the
owner's side has of the move, which only recorded; then the old side's. Its fence goes last, and
only behind the tables that it keeps shut: where the old tables stay, they stay shut for good.

Run again, it goes on, or drops old tables that it had kept.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from strangler_proxy.handover import parts, proof
from strangler_proxy.handover.beginning import refuse_another
from strangler_proxy.handover.claiming import CLAIM_S, claim_both
from strangler_proxy.handover.crossing import crossing_over
from strangler_proxy.handover.databases.port import Session, TableName
from strangler_proxy.handover.databases.references import referring
from strangler_proxy.handover.faults import HandoverRefused, LockBusy
from strangler_proxy.handover.ledger import Ledger, read_ledger
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.ownership import ownership_beside, read_ownership
from strangler_proxy.handover.removal import clear, homes, somewhere
from strangler_proxy.handover.reverse import refuse_contradiction
from strangler_proxy.handover.site import Ends, open_site
from strangler_proxy.handover.standing import Phase, RecordKind, Standing, standing
from strangler_proxy.handover.turn import take_turn
from strangler_proxy.handover.way import Owner

CATCH_UP_S = 60.0
_FEW = 100  # entries of a step of the tail, with writers that go on
_LOCK_S, _PAUSE_S, _WHOLE_S = 1.0, 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Retiring:
    """What a retirement would take away, and `against`: every reason not to."""

    move: str
    phase: Phase
    dropped: tuple[str, ...]
    kept: tuple[str, ...]
    waiting: int
    against: tuple[str, ...]


@dataclass(slots=True)
class Retirement:
    """The end of a move; `drop`: its old tables go too."""

    move: Move
    ends: Ends
    ledger: Path
    drop: bool
    said: Callable[[str], None] = lambda _: None
    pause: Callable[[float], object] = time.sleep
    catch_up_s: float = CATCH_UP_S
    claim_s: float = CLAIM_S

    def plan(self) -> Retiring:
        """What would be done, and all that stands against it. Changes nothing."""
        stands = standing(read_ledger(self.ledger))
        with (
            closing(self.ends.source.session()) as control,
            closing(self.ends.target.session()) as candidate,
        ):
            against = [*self._against(stands), *self._referred(control)]
            waiting = 0
            if not against and stands.phase == Phase.TAIL:
                _, home = homes(self.move, stands, control, candidate)
                reverse = parts.capture(self.ends.target, self.move.name, [somewhere(home)])
                waiting = reverse.backlog(candidate).entries
        old = tuple(str(table.source) for table in self.move.tables)
        dropped, kept = (old, ()) if self.drop else ((), old)
        return Retiring(self.move.name, stands.phase, dropped, kept, waiting, tuple(against))

    def run(self) -> bool:
        """Retire the move; False when it was already, and nothing is left to be dropped.

        Raises HandoverRefused with every reason against it, Claimed or LedgerLocked when another
        command is at work, LockBusy when a table stays in use, DatabaseUnreachable, and what
        `pause` raises. Killed, it is run again.
        """
        stands = standing(read_ledger(self.ledger))
        if stands.phase == Phase.RETIRED and (stands.dropped or not self.drop):
            return False
        _refuse(self._against(stands))
        with take_turn(self.ledger, "retire", pause=self.pause) as ledger:
            _refuse(self._against(ledger.standing))
            if ledger.standing.phase == Phase.TAIL:
                self._leave(ledger)
            self._take_away(ledger)
        return True

    def _against(self, stands: Standing) -> tuple[str, ...]:
        name = self.move.name
        if stands.phase not in (Phase.TAIL, Phase.RETIREMENT, Phase.RETIRED):
            return (f"{name} is {stands.phase}: only a move that was cut over can be retired",)
        owned = read_ownership(ownership_beside(self.ledger))
        if owned.intent:
            return (
                f"a cut-over of {name} was begun and did not end: run `strangler data start "
                f"{name}`, which settles it",
            )
        if owned.owner != Owner.CANDIDATE:
            return (
                f"the control owns the tables of {name}: `strangler data cutover {name}` comes "
                f"first, or `strangler data remove {name}` to give the move up",
            )
        return ()

    def _referred(self, control: Session) -> list[str]:
        if not self.drop:
            return []
        return [
            f"{table} refers to {to}: drop that foreign key, or {table}, first"
            for table, to in referring(control, self._old(control))
        ]

    def _old(self, control: Session) -> list[TableName]:
        """The old tables that are still there, as their database names them."""
        found = []
        for each in self.move.tables:
            try:
                found.append(control.describe(each.source).name)
            except HandoverRefused:
                continue
        return found

    def _leave(self, ledger: Ledger) -> None:
        """Carry over what waits, see that all is as it should be, and record that it ends."""
        with open_site(self.move, self.ends) as site:
            claim_both(
                *(site.source, site.target, self.move.name, self.claim_s),
                *(time.monotonic, self.pause),
            )
            begun = ledger.standing.begun
            if begun is not None:
                refuse_another(begun, self.move, self.ends, str(ledger.path))
            way = site.way_of(Owner.CANDIDATE)
            crossing = crossing_over(way, site.source, site.target)
            refuse_contradiction(way, crossing.source, crossing.target)
            _refuse(self._referred(site.source))
            crossing.watch = lambda: _ask(self.pause)
            proof.caught_up(crossing, _FEW, self.catch_up_s)
            ledger.record(RecordKind.RETIRING)
        self.said("the old tables have every change up to now; none is carried to them any more")

    def _take_away(self, ledger: Ledger) -> None:
        stands, name = ledger.standing, self.move.name
        with (
            closing(self.ends.source.session()) as control,
            closing(self.ends.target.session()) as candidate,
        ):
            claim_both(control, candidate, name, self.claim_s, time.monotonic, self.pause)
            _refuse(self._referred(control))
            home, new_home = homes(self.move, stands, control, candidate)
            clear(self.ends.target, name, new_home)
            parts.drop_checkpoint(name, candidate)
            self.said("the new tables are free of all that the move had made there")
            # Its triggers may look at a moved table from another one, so they go before the table.
            parts.capture(self.ends.source, name, [somewhere(home)]).remove()
            gone = self.drop or not self._old(control)
            if gone:
                self._drop(self._old(control))
                clear(self.ends.source, name, home)
            ledger.record(RecordKind.RETIRED, dropped=gone)

    def _drop(self, old: Sequence[TableName]) -> None:
        """All in one statement where that is one, for those that refer to each other."""
        with closing(self.ends.source.session(None, _LOCK_S)) as control:
            tables = [control.dialect.table(name) for name in reversed(old)]  # children first
            together = [", ".join(tables)] if tables else []
            for some in tables if control.dialect.kind == "sqlite" else together:
                _patiently(partial(control.execute, f"DROP TABLE {some}"), self.pause)
        if old:
            self.said(f"dropped: {', '.join(map(str, old))}")


def _refuse(reasons: Sequence[str]) -> None:
    if reasons:
        raise HandoverRefused(reasons)


def _ask(pause: Callable[[float], object]) -> None:
    pause(0.0)


def _patiently(act: Callable[[], object], pause: Callable[[float], object]) -> None:
    """Again while readers are in the way, with pauses in which they go on."""
    deadline = time.monotonic() + _WHOLE_S
    while True:
        try:
            act()
        except LockBusy:
            if time.monotonic() >= deadline:
                raise
        else:
            return
        pause(_PAUSE_S)
