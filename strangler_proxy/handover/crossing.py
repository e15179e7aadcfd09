"""A way that is open: a session at each end, claimed for one mover, and the tail between them.

While it is open nobody else moves these tables, and nothing that a mover before it had asked of
either database is still being carried out: the claims are connections' own, and end with them.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from strangler_proxy.handover import parts
from strangler_proxy.handover.capture import Entry
from strangler_proxy.handover.claiming import CLAIM_S, claim_both
from strangler_proxy.handover.databases.port import Pair, Row, Session
from strangler_proxy.handover.ports import CapturePort, FencePort, TailPort
from strangler_proxy.handover.tail import Applied
from strangler_proxy.handover.way import Owner, Way


class Notes:
    """Entries on their way from a capture to a tail, whose keys can be noted."""

    def __init__(self, capture: CapturePort) -> None:
        self._capture = capture
        self.noting = False
        self._noted: dict[tuple[str, Row], None] = {}

    @property
    def noted(self) -> int:
        """How many keys were noted since they were taken last."""
        return len(self._noted)

    def entries(self, session: Session, most: int) -> list[Entry]:
        """Changes that wait."""
        return self._capture.entries(session, most)

    def forget(self, session: Session, entries: Sequence[Entry]) -> None:
        """Noted first: what is forgotten has been noted, if this does not end well."""
        if self.noting:
            self._noted.update(dict.fromkeys((entry.table, entry.key) for entry in entries))
        self._capture.forget(session, entries)

    def take(self) -> list[tuple[str, Row]]:
        """The (table, raw key) noted, each once; they are noted no more."""
        taken, self._noted = list(self._noted), {}
        return taken


@dataclass(slots=True)
class Crossing:
    """An open way; all of it belongs to one thread."""

    way: Way
    source: Session
    target: Session
    capture: CapturePort
    notes: Notes
    tail: TailPort
    source_fence: FencePort
    target_fence: FencePort
    applied: int = field(default=0)
    """Entries applied since it was opened."""
    watch: Callable[[], None] = field(default=lambda: None)
    """Called before each step; what it raises ends whatever the step was for."""

    def step(self) -> Applied:
        """One step of the tail."""
        self.watch()
        applied = self.tail.step()
        self.applied += applied.entries
        return applied

    def drain(self, late: Callable[[], bool]) -> bool:
        """Apply all that had been captured when the last step began; whether it was in time."""
        while self.step().more:
            if late():
                return False
        return True

    def changed(self) -> list[tuple[Pair, list[Row]]]:
        """The raw source keys noted, by table; they are noted no more."""
        keys: dict[str, list[Row]] = {}
        for table, key in self.notes.take():
            keys.setdefault(table, []).append(key)
        return [
            (pair, keys[name])
            for pair in self.way.pairs
            if (name := str(pair.source.table.name)) in keys
        ]


def crossing_over(way: Way, control: Session, candidate: Session) -> Crossing:
    """The way over sessions that are the mover's, and that both are claimed: once for each."""
    source, target = (control, candidate) if way.owner == Owner.CONTROL else (candidate, control)
    capture = parts.capture(way.source, way.move, [pair.source for pair in way.pairs])
    notes = Notes(capture)
    tail = parts.tail(way.move, way.pairs, notes, source, target)
    fences = way.source_fence(), way.target_fence()
    return Crossing(way, source, target, capture, notes, tail, *fences)


@contextmanager
def open_crossing(
    way: Way,
    statement_s: float = 20.0,
    claim_s: float = CLAIM_S,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Crossing]:
    """Connect to both ends and be the only mover.

    Raises Claimed when another is at work, DatabaseUnreachable.
    """
    first = way if way.owner == Owner.CONTROL else way.turned()
    with (
        closing(first.source.session(way.move, statement_s)) as control,
        closing(first.target.session(way.move, statement_s)) as candidate,
    ):
        claim_both(control, candidate, way.move, claim_s, clock, pause)
        yield crossing_over(way, control, candidate)
