"""What a move has done, as one file of its site: a JSON object a line, each synced.

A record is written after what it tells of, except `begun` and `removing`, which come before: what
follows those may be half done, and is safe to do again. The rows' own progress stands at the
target, in the transactions that move them. So a record that a crash cut short is none, and the
mover holds the file by a lock that ends with it however that ends (journal.py).
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from strangler_proxy import journal
from strangler_proxy.handover.standing import RecordKind, Standing, standing
from strangler_proxy.journal import Form, LedgerError, LedgerLocked, Record, stamp, utc_now

__all__ = [
    "Ledger",
    "LedgerError",
    "LedgerLocked",
    "Record",
    "keep_verified",
    "last_verified",
    "ledger_path",
    "open_ledger",
    "read_ledger",
    "running_now",
    "stamp",
    "utc_now",
]

_FORM = Form(
    1,
    frozenset(RecordKind),
    "restore the file, or move it away and run `strangler data remove`",
)


def ledger_path(moves: Path, move: str, folder: Path | None = None) -> Path:
    """Where the ledger of a move of this file is: in `folder`, or in .strangler beside the file."""
    return (folder or moves.resolve().parent / ".strangler") / f"{move}.move.jsonl"


class Ledger:
    """An open ledger: `standing` after its last record, and the only way to add one."""

    def __init__(
        self, path: Path, file: int, records: Sequence[Record], clock: Callable[[], datetime]
    ) -> None:
        self.path = path
        self._file = file
        self._records = list(records)
        self._clock = clock

    @property
    def standing(self) -> Standing:
        """Where the move stands."""
        return standing(self._records)

    def record(self, kind: RecordKind, **content: Any) -> None:
        """Append one record; on return it is on the disk. Raises OSError, also for a full disk."""
        line = journal.encoded(_FORM, self._clock(), kind, content)
        journal.append(self._file, line)
        self._records.append(json.loads(line))


@contextmanager
def open_ledger(
    path: Path, command: str, clock: Callable[[], datetime] = utc_now
) -> Iterator[Ledger]:
    """Hold the move's ledger exclusively, and enter that this process runs `command`.

    Raises LedgerLocked, LedgerError, OSError.
    """
    with journal.open_journal(path, _FORM) as (file, records):
        ledger = Ledger(path, file, records, clock)
        ledger.record(RecordKind.RUN, **journal.this_process(_FORM, command))
        yield ledger


def read_ledger(path: Path) -> list[Record]:
    """Every whole record, oldest first; none if there is no ledger. Takes no lock.

    Raises LedgerError, OSError.
    """
    return journal.read_journal(path, _FORM)


def running_now(path: Path) -> str | None:
    """Who holds the ledger at this moment, if anybody."""
    return journal.running_now(path, _FORM)


def keep_verified(path: Path, told: Record) -> None:
    """Keep the outcome of a verification beside the ledger at `path`, in place of the last one.

    A file of its own, since a move may be verified while its mover holds the ledger.
    """
    where = _verified_path(path)
    where.parent.mkdir(parents=True, exist_ok=True)
    made = where.with_name(f"{where.name}.{os.getpid()}")
    with made.open("w", encoding="utf-8") as file:
        json.dump(told, file)
        file.flush()
        os.fsync(file.fileno())
    made.replace(where)


def last_verified(path: Path) -> Record | None:
    """The outcome that was kept last, if there is one that can be read."""
    with suppress(OSError, ValueError):
        told = json.loads(_verified_path(path).read_bytes())
        return told if isinstance(told, dict) else None
    return None


def _verified_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".move.jsonl") + ".verified.json")
