"""The durable record of what a step has done: one JSON object a line, appended and synced.

An intent is synced before its act, and an act whose result is missing is idempotent: so a record
that a crash cut short is none (journal.py).
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from strangler_proxy import journal
from strangler_proxy.journal import (
    Form,
    LedgerError,
    LedgerLocked,
    Record,
    split_torn,
    utc_now,
)
from strangler_proxy.steps.state import Kind, State, after, fold

__all__ = [
    "Ledger",
    "LedgerError",
    "LedgerLocked",
    "open_ledger",
    "read_ledger",
    "running_now",
    "split_torn",
    "utc_now",
]

_FORM = Form(1, frozenset(Kind), "restore the file, or move it away and undo by hand", "direction")


class Ledger:
    """An open ledger: its state, and the only way to change it.

    Attributes: `file`, the open descriptor; `state`, where the step stands after the last record.
    """

    def __init__(self, file: int, state: State, clock: Callable[[], datetime] = utc_now) -> None:
        self.file = file
        self._clock = clock
        self.state = state

    def record(self, kind: Kind, **content: Any) -> None:
        """Append one record; on return it is on the disk and in `state`."""
        line = journal.encoded(_FORM, self._clock(), kind, content)
        self.append(line)
        self.state = after(self.state, json.loads(line))

    def append(self, line: bytes) -> None:
        """Write one whole line and wait for the disk. Raises OSError, also for a full disk."""
        journal.append(self.file, line)


@contextmanager
def open_ledger(
    path: Path, direction: str, clock: Callable[[], datetime] = utc_now
) -> Iterator[Ledger]:
    """Hold the ledger exclusively, and enter that this process runs in this direction.

    The lock is not inherited by the services that a step starts. Raises LedgerLocked, and
    LedgerError also where the folder or the disk refuses.
    """
    with ExitStack() as held:
        try:
            file, records = held.enter_context(journal.open_journal(path, _FORM))
            ledger = Ledger(file, fold(records), clock)
            ledger.record(Kind.RUN, **journal.this_process(_FORM, direction))
        except OSError as fault:
            raise _unusable(path, fault) from fault
        yield ledger


def read_ledger(path: Path) -> list[Record]:
    """Every whole record, oldest first; none if there is no ledger. Takes no lock.

    Raises LedgerError.
    """
    try:
        return journal.read_journal(path, _FORM)
    except OSError as fault:
        raise _unusable(path, fault) from fault


def _unusable(path: Path, fault: OSError) -> LedgerError:
    return LedgerError(f"the ledger {path} cannot be used: {fault.strerror or fault}")


def running_now(path: Path) -> str | None:
    """Who holds the ledger at this moment, if anybody."""
    return journal.running_now(path, _FORM)
