"""What a database says of the numbers that it gives to new rows, and how it is told to go on."""

from dataclasses import dataclass
from typing import Protocol

from strangler_proxy.handover.databases.port import Cell, Session, Side


@dataclass(frozen=True, slots=True)
class Generator:
    """What numbers a column: the last number given, the step, and the largest there can be.

    `last` is the one before the first when none was given. `kept` is False where the database
    keeps no such number and goes on from the largest row that there is.
    """

    name: str
    last: int
    largest: int
    step: int = 1
    kept: bool = True

    def reaching(self, number: int) -> int:
        """The least that `last` must be for what comes next to be above a number."""
        missing = max(0, number - self.last - self.step + 1)
        return self.last + -(-missing // self.step) * self.step


class NumberingSql(Protocol):
    """Numbers of new rows in one database; each method is a statement or two, no transaction."""

    def generator(self, session: Session, side: Side, cell: Cell) -> Generator | None:
        """What numbers this column, as it stands now; None when nothing does."""

    def advance(self, session: Session, side: Side, generator: Generator, last: int) -> None:
        """Let `last` be the last number given; it is above what was."""
