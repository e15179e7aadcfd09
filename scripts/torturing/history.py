"""What each client asked and was told, one line of JSON an operation. Reads no clock.

A word belongs to one client, which sends the next operation on it only when it knows how the last
one ended: after an outcome that is unknown it leaves the word alone. So the last value of each word
is known, but for one operation at most.
"""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TextIO


class Kind(StrEnum):
    """What was asked for."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    READ = "read"


class Outcome(StrEnum):
    """How it ended: done; refused, so that nothing has changed; or nobody knows."""

    OK = "ok"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on one word. Times are monotonic seconds of this machine.

    `mark` is the operation's own and goes into the log beside the row, so that one that is carried
    out twice is seen. `value` is what was written; of a read, what was found, None for no row.
    `told` is how the answer spoke of it.
    """

    client: str
    kind: Kind
    word: str
    mark: str
    value: int | None
    began: float
    ended: float = math.inf
    outcome: Outcome = Outcome.UNKNOWN
    told: str = ""


def append(file: TextIO, operation: Operation) -> None:
    """Write it down; whole lines only, at once."""
    file.write(json.dumps(asdict(operation), separators=(",", ":")) + "\n")
    file.flush()


def read(paths: Iterable[Path]) -> list[Operation]:
    """All operations of these files, by the time at which they began."""
    return sorted(_operations(paths), key=lambda operation: operation.began)


def _operations(paths: Iterable[Path]) -> Iterator[Operation]:
    """The last that was written of each: of one whose client died, that it was sent."""
    last: dict[str, Operation] = {}
    for path in paths:
        for line in path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                continue  # its client was killed as it wrote
            told = json.loads(line)
            kind, outcome = Kind(told.pop("kind")), Outcome(told.pop("outcome"))
            operation = Operation(kind=kind, outcome=outcome, **told)
            last[operation.mark] = operation
    return iter(last.values())
