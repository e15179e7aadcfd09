"""Where a move stands, by its ledger and by both databases as they are now. Changes nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strangler_proxy.handover import fingerprint
from strangler_proxy.handover.databases.port import Session, TableName
from strangler_proxy.handover.faults import HandoverFault, HandoverRefused
from strangler_proxy.handover.ledger import last_verified, read_ledger, running_now
from strangler_proxy.handover.loading.estimate import estimate
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.naming import checkpoint_table
from strangler_proxy.handover.site import (
    Ends,
    Site,
    changes_there,
    checkpoint_there,
    open_site,
)
from strangler_proxy.handover.standing import Standing, standing


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
    """All that is known; `problems` are sentences, and what they hide is empty."""

    move: str
    standing: Standing
    running: str | None
    verified: dict[str, Any] | None
    tables: list[TableStatus] = field(default_factory=list)
    waiting: Waiting | None = None
    missing_triggers: list[str] = field(default_factory=list)
    schema_changed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether nothing needs a person."""
        return not (self.problems or self.missing_triggers or self.schema_changed)


def look(move: Move, ends: Ends, ledger: Path, wall: Callable[[], float] = time.time) -> Status:
    """Ask the ledger and both databases; a database that does not answer is a problem told.

    Raises LedgerError, OSError.
    """
    stands = standing(read_ledger(ledger))
    status = Status(move.name, stands, running_now(ledger), _verified(ledger, stands))
    try:
        with open_site(move, ends) as site:
            _look_at(site, status, wall)
    except HandoverRefused as refused:
        status.problems += refused.sentences
    except HandoverFault as fault:
        status.problems.append(str(fault))
    return status


def _look_at(site: Site, status: Status, wall: Callable[[], float]) -> None:
    copied = _copied(site.target, site.move) if checkpoint_there(site.target, site.move) else {}
    for pair in site.pairs:
        source, target = str(pair.source.table.name), str(pair.target.table.name)
        rows, done = copied.get(f"{source} > {target}", (0, False))
        guessed = estimate(site.source, pair.source.table)
        status.tables.append(TableStatus(source, target, rows, guessed, done))
    if changes_there(site.source, site.move, site.home):
        backlog = site.capture.backlog(site.source)
        oldest = backlog.oldest_at
        age_s = None if oldest is None else max(0.0, wall() - oldest)
        status.waiting = Waiting(backlog.entries, age_s)
    if status.standing.captured_at:
        status.missing_triggers += site.capture.missing(site.source)
    if status.standing.begun:
        before = status.standing.begun.fingerprint
        try:
            fingerprint.check(before, site.pairs, site.source, site.target)
        except HandoverRefused as changed:
            status.schema_changed += changed.sentences


def _copied(target: Session, move: Move) -> dict[str, tuple[int, bool]]:
    table = target.dialect.table(TableName(None, checkpoint_table(move.name)))
    rows = target.rows(f"SELECT moved, moved_rows, done FROM {table}")  # noqa: S608
    return {name: (int(count), bool(done)) for name, count, done in rows}


def _verified(ledger: Path, stands: Standing) -> dict[str, Any] | None:
    """The last verification, if it is of this move and not of one before it."""
    told = last_verified(ledger)
    if told is None or (stands.begun and str(told.get("at", "")) < stands.begun.at):
        return None
    return dict(told)
