"""Where a move stands, by its ledger and by both databases as they are now. Changes nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strangler_proxy.handover import fingerprint, parts, reverse
from strangler_proxy.handover.beginning import refuse_ended
from strangler_proxy.handover.faults import HandoverFault, HandoverRefused
from strangler_proxy.handover.ledger import last_verified, read_ledger, running_now
from strangler_proxy.handover.loading.estimate import estimate
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.ownership import (
    Ownership,
    ownership_beside,
    read_ownership,
)
from strangler_proxy.handover.site import (
    Ends,
    Site,
    changes_there,
    checkpoint_there,
    open_site,
)
from strangler_proxy.handover.standing import Phase, Standing, standing
from strangler_proxy.handover.turn import Turn
from strangler_proxy.handover.way import Way


@dataclass(frozen=True, slots=True)
class TableStatus:
    """One table: rows copied so far, and what its source estimates that there are."""

    source: str
    target: str
    rows: int
    estimated: int | None
    done: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """Changes that wait, and the age of the oldest."""

    entries: int
    oldest_s: float | None


@dataclass(slots=True)
class Status:
    """All that is known. `problems` a person must settle. What is `unanswered` may pass by itself:
    a database is away, or busy. Both are sentences, and what they hide is empty.

    `running` is who has the ledger, and `turn` the command that another stands aside for, or will.
    `waiting` and `missing_triggers` are of the owner's capture. `fences`: how that of each side
    stands, by the side's name, once it is there.
    """

    move: str
    standing: Standing
    running: str | None
    turn: str | None
    verified: dict[str, Any] | None
    owned: Ownership = field(default_factory=Ownership)
    fences: dict[str, str] = field(default_factory=dict)
    tables: list[TableStatus] = field(default_factory=list)
    waiting: Waiting | None = None
    missing_triggers: list[str] = field(default_factory=list)
    schema_changed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether all was looked at, and nothing needs a person."""
        wrong = self.problems or self.missing_triggers or self.schema_changed
        return not (wrong or self.unanswered)


def look(move: Move, ends: Ends, ledger: Path, wall: Callable[[], float] = time.time) -> Status:
    """Ask the ledger and both databases; one that does not answer is told as such.

    Raises LedgerError, OSError.
    """
    stands, turn = standing(read_ledger(ledger)), Turn(ledger)
    status = Status(
        move.name,
        stands,
        running_now(ledger),
        turn.holder() if turn.taken() else None,
        _verified(ledger, stands),
        read_ownership(ownership_beside(ledger)),
    )
    if status.owned.intent and status.running is None:
        status.problems.append(
            "a cut-over was begun and did not end: `strangler data start` settles it"
        )
    try:
        refuse_ended(move.name, stands)
    except HandoverRefused as ended:
        # What is left inside the databases is no move any more.
        status.problems += [] if stands.phase == Phase.RETIRED else ended.sentences
        return status
    try:
        with open_site(move, ends) as site:
            _look_at(site, status, wall)
    except HandoverRefused as refused:
        status.problems += refused.sentences
    except HandoverFault as fault:
        status.unanswered.append(str(fault))
    return status


def _look_at(site: Site, status: Status, wall: Callable[[], float]) -> None:
    copied: dict[str, tuple[int, bool]] = {}
    if checkpoint_there(site.target, site.move):
        copied = parts.copied(site.move.name, site.pairs, site.target)
    for pair in parts.copied_alone(site.pairs, site.target):
        source, target = str(pair.source.table.name), str(pair.target.table.name)
        rows, done = copied.get(f"{source} > {target}", (0, False))
        guessed = estimate(site.source, pair.source.table)
        status.tables.append(TableStatus(source, target, rows, guessed, done))
    seen = site.owned_by(status.owned.owner)
    if changes_there(seen.source, seen.move, seen.home):
        backlog = seen.capture.backlog(seen.source)
        oldest = backlog.oldest_at
        age_s = None if oldest is None else max(0.0, wall() - oldest)
        status.waiting = Waiting(backlog.entries, age_s)
    if status.standing.captured_at:
        status.missing_triggers += seen.capture.missing(seen.source)
    if status.standing.caught_up_at:
        _look_at_fences(site.way_of(status.owned.owner), seen, status)
    if status.standing.begun:
        before = status.standing.begun.fingerprint
        try:
            fingerprint.check(before, site.pairs, site.source, site.target)
        except HandoverRefused as changed:
            status.schema_changed += changed.sentences


def _look_at_fences(way: Way, seen: Site, status: Status) -> None:
    """Both are there since the first copy was done; a cut-over under way changes them."""
    sides = ((way.owner, way.source_fence(), seen.source),
             (way.owner.other, way.target_fence(), seen.target))  # fmt: skip
    doubts = parts.doubts(way.reverse_capture(), seen.target)
    status.problems += doubts
    missing = [each for each in way.reverse_capture().missing(seen.target) if each not in doubts]
    for side, fence, session in sides:
        status.fences[side] = str(fence.state(session).standing)
        missing += fence.missing(session)
    status.problems += [f"{each}: `strangler data start` makes it anew" for each in missing]
    if not (missing or doubts or status.owned.intent):
        status.problems += reverse.against(way, seen.source, seen.target)


def _verified(ledger: Path, stands: Standing) -> dict[str, Any] | None:
    """The last verification, if it is of this move and not of one before it."""
    told = last_verified(ledger)
    if told is None or (stands.begun and str(told.get("at", "")) < stands.begun.at):
        return None
    return dict(told)
