"""A move of data as a step sees it: where it stands, and what can be asked of it. Opens nothing."""

from dataclasses import dataclass
from typing import Protocol

CONTROL, CANDIDATE = "control", "candidate"


class MoveFailed(Exception):
    """The move cannot be looked at or gone on with; the message says why."""


class MoveBusy(MoveFailed):
    """Another command is at work on the move."""


@dataclass(frozen=True, slots=True)
class MoveState:
    """Where a move stands.

    runs            a mover is at work, or may stand aside for the command that has the turn
    owner           whose the tables are, control or candidate
    follows         all rows were copied, and changes are carried over
    oldest_s        the age of the oldest of `waiting` changes
    problems        what a person must settle
    unanswered      why not all was looked at now, which may pass by itself
    retired         its end was begun, and nothing leads back
    retiring        a command that ends it is at work
    cut_over_begun  one, in either direction, is neither done nor undone: it is not known which side
                    takes writes, and a mover settles it
    changing        a command of a step is at work on it, perhaps of one that was killed
    ended           why the last mover ended; None where it was killed
    """

    begun: bool
    runs: bool
    owner: str
    follows: bool
    rows: int
    estimated: int
    waiting: int
    oldest_s: float
    problems: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()
    retired: bool = False
    retiring: bool = False
    cut_over_begun: bool = False
    changing: bool = False
    ended: str | None = None

    @property
    def alone(self) -> str | None:
        """That nobody carries the data over, and why; None while a mover is at work."""
        why = self.ended or "it was killed"
        return None if self.runs else f"nobody carries the data over; of the last run: {why}"


@dataclass(frozen=True, slots=True)
class Verified:
    """A comparison of all rows; `explained` of those that differ wait to be carried over.

    `only_extra`: all that differ are rows that the candidate alone has.
    """

    rows: int
    differ: int
    explained: int
    shown: tuple[str, ...] = ()
    only_extra: bool = False


@dataclass(frozen=True, slots=True)
class HandedOver:
    """How a cut-over or a rollback ended; `reason` is why it was undone, and `warnings` are left
    for a person.
    """

    done: bool
    reason: str = ""
    hold_ms: float = 0.0
    held: int = 0
    warnings: tuple[str, ...] = ()


class DataMove(Protocol):
    """One move. Every method raises MoveFailed, those that change it also MoveBusy."""

    @property
    def name(self) -> str:
        """Its name in the file of moves."""

    @property
    def start_command(self) -> tuple[str, ...]:
        """What carries its data over until it is told to stop."""

    def plan(self) -> None:
        """See that nothing stands against it; changes nothing."""

    def state(self) -> MoveState:
        """Where it stands now."""

    def verify(self) -> Verified:
        """Compare every row of both sides."""

    def repair(self) -> Verified:
        """Compare, and make the rows that differ as the owner has them; what differs then."""

    def hand_over(self, to: str) -> HandedOver:
        """Hand the writes over to that side, or leave everything as it was. Raises Interrupted."""

    def remove(self) -> None:
        """Take away what it has made in both databases."""

    def retire(self, drop_tables: bool) -> None:
        """Leave the control's tables behind for good; safe to repeat."""


def mover_runs(move: DataMove) -> str | None:
    """None while a mover is at work; otherwise what is known of that."""
    try:
        return None if move.state().runs else f"nobody carries the data of {move.name} over"
    except MoveFailed as fault:
        return str(fault)
