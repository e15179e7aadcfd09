"""What the clients were promised: every write, what it makes of its row, when it was acknowledged.

Opens nothing and reads no clock. Each row has one writer at a time, so its changes are in order;
any number of threads may read. A write without an answer is in doubt: it may be seen or not.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Facts = Mapping[str, Any]
# What a row may look like: its facts, or None for "it is not there".
Options = list[Facts | None]


@dataclass(slots=True, eq=False)
class Change:
    """One write: the facts that it gives the row (None deletes it), and its moments in seconds."""

    facts: Facts | None
    sent_at: float
    acknowledged_at: float | None = None
    refused: bool = False


@dataclass(slots=True, eq=False)
class Row:
    """One thing that clients wrote: its kind, the mark that makes it unmistakable, its changes."""

    kind: str
    mark: str
    parent: "Row | None" = None
    id: Any = None
    changes: list[Change] = field(default_factory=list)

    def options(self, asked_at: float, answered_at: float) -> Options:
        """What an answer asked for and given at these moments may say about this row.

        That is the last change acknowledged before the question, or any sent after that one and
        before the answer. A row goes with its parent.
        """
        changes = [change for change in self.changes if not change.refused]
        settled = [
            index
            for index, change in enumerate(changes)
            if change.acknowledged_at is not None and change.acknowledged_at <= asked_at
        ]
        base = settled[-1] if settled else -1
        options: Options = [changes[base].facts] if settled else [None]
        options += [each.facts for each in changes[base + 1 :] if each.sent_at <= answered_at]
        above = self.parent.options(asked_at, answered_at) if self.parent else []
        if above and all(facts is None for facts in above):
            return [None]
        return [*options, None] if None in above and None not in options else options


class Journal:
    """The clients' common memory, safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[tuple[str, str], Row] = {}
        self._by_id: dict[tuple[str, Any], Row] = {}

    def send(
        self, kind: str, mark: str, facts: Facts | None, at: float, parent: Row | None = None
    ) -> tuple[Row, Change]:
        """Note that a write is about to be sent."""
        change = Change(facts, at)
        with self._lock:
            row = self._rows.setdefault((kind, mark), Row(kind, mark, parent))
            row.changes.append(change)
        return row, change

    def acknowledge(self, row: Row, change: Change, identifier: Any, at: float) -> None:
        """Note that a write was answered with success, and which id the row has."""
        with self._lock:
            change.acknowledged_at = at
            row.id = identifier
            self._by_id[row.kind, identifier] = row

    def refuse(self, change: Change) -> None:
        """Note that a write was refused, rightly: it must have had no effect."""
        with self._lock:
            change.refused = True

    def find(self, kind: str, identifier: Any) -> Row | None:
        """Return the row that was acknowledged under this id."""
        with self._lock:
            return self._by_id.get((kind, identifier))

    def marked(self, kind: str, mark: str) -> Row | None:
        """Return the row with this mark, acknowledged or not."""
        with self._lock:
            return self._rows.get((kind, mark))

    def rows(self, kind: str) -> list[Row]:
        """Return every row of a kind that a client has tried to write, oldest first."""
        with self._lock:
            return [row for row in self._rows.values() if row.kind == kind]

    def options(self, row: Row, asked_at: float, answered_at: float) -> Options:
        """See `Row.options`."""
        with self._lock:
            return row.options(asked_at, answered_at)

    def alive(
        self, kind: str, at: float, among: Callable[[Row], bool] = lambda _: True
    ) -> Iterator[Row]:
        """Yield the rows that must be there at a moment: nothing sent by then deletes them."""
        for row in self.rows(kind):
            if row.id is not None and among(row) and None not in self.options(row, at, at):
                yield row


def agrees(facts: Facts, seen: Facts) -> bool:
    """Return whether what was seen has the promised value for every fact that it shows at all."""
    return all(seen[name] == value for name, value in facts.items() if name in seen)
