"""The parts of a move, as the engine uses them: protocols, whatever databases do the work.

Between SQL databases they are the classes beside this file; where one side has documents, those of
`documents`. parts.py chooses.
"""

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from strangler_proxy.handover.capture import PATIENCE, Backlog, Entry, Patience
from strangler_proxy.handover.databases.port import Pair, Row, Session
from strangler_proxy.handover.fence import FenceState
from strangler_proxy.handover.installing import Lack
from strangler_proxy.handover.tail import Applied
from strangler_proxy.handover.verify import Pending, Report
from strangler_proxy.handover.verify.recheck import Tail as RunsTail
from strangler_proxy.handover.verify.verify import Progress
from strangler_proxy.handover.writers import Writer


class CapturePort(Protocol):
    """See capture.Capture."""

    changes: str

    def install(
        self,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make what is missing."""

    def upgrade(
        self,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Bring what an earlier version made up to date."""

    def remove(
        self,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Leave nothing of it."""

    def missing(self, session: Session) -> tuple[str, ...]:
        """Why changes are not seen, as sentences."""

    def lacking(self, session: Session) -> tuple[Lack, ...]:
        """Triggers that are not there or are switched off."""

    def entries(self, session: Session, most: int) -> list[Entry]:
        """Changes that wait."""

    def forget(self, session: Session, entries: Sequence[Entry]) -> None:
        """These are applied."""

    def enter(self, session: Session, table: str, key: str) -> None:
        """Add a key that nobody has changed."""

    def notes_writers(self, session: Session) -> bool:
        """Whether entries tell who made them."""

    def writers(self, session: Session) -> list[Writer]:
        """Who made them."""

    def makers(self, session: Session, most: int) -> dict[Any, tuple[str, str | None]]:
        """So many of those that wait, by number: the table, and who made them."""

    def backlog(self, session: Session) -> Backlog:
        """How much waits."""


class FencePort(Protocol):
    """See fence.Fence."""

    def install(
        self,
        *,
        shut: bool,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make what is missing; `shut`: the tables are those that follow."""

    def remove(
        self,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Leave nothing of it."""

    def missing(self, session: Session) -> tuple[str, ...]:
        """What of it is not at work, as sentences."""

    def state(self, session: Session) -> FenceState:
        """How it stands."""

    def raise_(self, session: Session, seconds: float, wait_s: float = 1.0) -> None:
        """Be up for so long, nobody who passed before still writing."""

    def make_permanent(
        self, session: Session, pending: Callable[[Session], bool], wait_s: float = 1.0
    ) -> bool:
        """Shut for good, if it is up and nothing waits."""

    def lift(self, session: Session, wait_s: float = 5.0) -> None:
        """Be open; may be called again."""


class TailPort(Protocol):
    """See tail.Tail."""

    def step(self) -> Applied:
        """Apply some entries."""


class VerifierPort(Protocol):
    """See verify.Verifier."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def close(self) -> None:
        """Hang up."""

    def verify(
        self,
        pairs: Sequence[Pair],
        *,
        pending: Pending | None = None,
        tail: RunsTail | None = None,
        progress: Progress | None = None,
    ) -> Report:
        """Read both sides whole."""

    def verify_keys(
        self,
        changed: Sequence[tuple[Pair, Sequence[Row]]],
        *,
        pending: Pending | None = None,
        tail: RunsTail | None = None,
    ) -> Report:
        """Compare the rows of these raw source keys."""
