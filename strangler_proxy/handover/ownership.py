"""Who owns a move's tables, as one file beside its ledger: a JSON object a line, each synced.

`intended` is written before anything is done, and `done` or `undone` after it all is: what lies
between is told by the fences in the databases, not by this file. The names of the holds stand there
unsynced, for a resume that wants to end them early; they end by themselves.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from strangler_proxy import journal
from strangler_proxy.handover.way import Owner
from strangler_proxy.journal import Form, Record, utc_now


class OwnerKind(StrEnum):
    """What a record tells."""

    INTENDED = "intended"
    HELD = "held"
    DONE = "done"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Ownership:
    """Whose the tables are; `intent`: a cut-over to the other was begun, whose end is not known.

    `holds` are those of that cut-over, by proxy. `ended` says why the last one was undone.
    """

    owner: Owner = Owner.CONTROL
    intent: bool = False
    holds: Mapping[str, str] = field(default_factory=dict)
    cut_overs: int = 0
    ended: str | None = None


def ownership(records: Iterable[Record]) -> Ownership:
    """What these records, oldest first, come to."""
    now = Ownership()
    for record in records:
        match OwnerKind(record["kind"]):
            case OwnerKind.INTENDED:
                now = replace(now, intent=True, holds={}, ended=None)
            case OwnerKind.HELD:
                now = replace(now, holds=record["holds"])
            case OwnerKind.DONE:
                now = Ownership(Owner(record["owner"]), cut_overs=now.cut_overs + 1)
            case OwnerKind.UNDONE:
                now = Ownership(now.owner, cut_overs=now.cut_overs, ended=record["why"])
    return now


def ownership_path(moves: Path, move: str) -> Path:
    """Where it is kept for a move of this file."""
    return moves.resolve().parent / ".strangler" / f"{move}.owner.jsonl"


def ownership_beside(ledger: Path) -> Path:
    """Where it is kept for the move of this ledger."""
    return ledger.with_name(ledger.name.removesuffix(".move.jsonl") + ".owner.jsonl")


_FORM = Form(
    1,
    frozenset(OwnerKind),
    "restore the file",
    unnamed="another cut-over of this move",
    complete=lambda record: ownership([record]),
)


class OwnerLedger:
    """The open file: `now` after its last record, and the only way to add one."""

    def __init__(
        self, path: Path, file: int, records: list[Record], clock: Callable[[], datetime]
    ) -> None:
        self.path = path
        self._file = file
        self._records = records
        self._clock = clock

    @property
    def now(self) -> Ownership:
        """Whose the tables are."""
        return ownership(self._records)

    def record(self, kind: OwnerKind, *, sync: bool = True, **content: Any) -> None:
        """Append one record; on return it is on the disk, unless it need not be. Raises OSError."""
        line = journal.encoded(_FORM, self._clock(), kind, content)
        journal.append(self._file, line, sync=sync)
        self._records.append(json.loads(line))


@contextmanager
def open_ownership(path: Path, clock: Callable[[], datetime] = utc_now) -> Iterator[OwnerLedger]:
    """Hold the file exclusively. Raises LedgerLocked, LedgerError, OSError."""
    with journal.open_journal(path, _FORM) as (file, records):
        yield OwnerLedger(path, file, records, clock)


def read_ownership(path: Path) -> Ownership:
    """What the file says, without holding it; without one the control owns. Raises LedgerError."""
    return ownership(journal.read_journal(path, _FORM))
