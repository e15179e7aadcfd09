"""The data of a capability, moved: what a step does of it, and how it is taken back.

Its parts in order: `PlanMove`, a `StartProcess` of the mover, `ClearLeftovers`, and, when what was
copied is proved, `HandOver`. Undone in reverse, every write made since is kept: the rollback brings
them back, the mover ends, and what was made in the databases goes.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from strangler_proxy.steps.moves import (
    CANDIDATE,
    CONTROL,
    DataMove,
    HandedOver,
    MoveBusy,
    MoveFailed,
    MoveState,
)
from strangler_proxy.steps.pace import RealPace
from strangler_proxy.steps.step import Facts, Pace, PartFailed, StandsStill

BUSY_S, PAUSE_S = 600.0, 2.0
Told = TypeVar("Told")


def once_free(act: Callable[[], Told], busy_s: float, pause_s: float, pace: Pace) -> Told:
    """Do it, after whatever else is at work on the move. Raises MoveBusy past `busy_s`."""
    deadline = pace.now() + busy_s
    while True:
        try:
            return act()
        except MoveBusy:
            if pace.now() >= deadline:
                raise
        pace.wait(pause_s)


@dataclass(frozen=True)
class PlanMove:
    """Begins nothing yet; undone, it takes away what the move has made since."""

    move: DataMove
    family: str | None = None

    @property
    def name(self) -> str:
        """The part's name in the ledger."""
        return f"plan the move of {self.move.name}"

    @property
    def forward(self) -> str:
        """What executing does, for the plan."""
        return f"see that nothing stands against moving the data of {self.move.name}"

    @property
    def back(self) -> str:
        """What undoing does, for the plan."""
        return f"take away what the move of {self.move.name} has made in both databases"

    def prepare(self) -> Facts:
        """Plan it, unless an earlier run has begun it."""
        try:
            if not self.move.state().begun:
                self.move.plan()
        except MoveFailed as fault:
            raise PartFailed(f"the move of {self.move.name}: {fault}") from fault
        return {}

    def execute(self, facts: Facts, pace: Pace) -> None:
        """Nothing: the mover, which comes next, begins it."""

    def undo(self, facts: Facts, pace: Pace) -> None:
        """Remove triggers and tables of the move; rows at the target stay."""
        try:
            if self.move.state().begun:
                once_free(self.move.remove, BUSY_S, PAUSE_S, pace)
        except MoveFailed as fault:
            raise PartFailed(f"the move of {self.move.name} stays: {fault}") from fault

    def holds(self, facts: Facts) -> bool:
        """There is nothing that could be lost."""
        return True


@dataclass(frozen=True)
class ClearLeftovers:
    """Takes away rows that an earlier attempt has left at the candidate, if nothing else differs.

    They were the candidate's when that was undone, and the control has deleted them since. Whatever
    else differs stays as it is, for a gate to find.
    """

    move: DataMove
    family: str | None = None

    @property
    def name(self) -> str:
        """The part's name in the ledger."""
        return f"clear leftovers of {self.move.name}"

    @property
    def forward(self) -> str:
        """What executing does, for the plan."""
        return f"delete rows of {self.move.name} that an earlier attempt left at the candidate"

    @property
    def back(self) -> str:
        """What undoing does, for the plan."""
        return "nothing: the control never had them"

    def prepare(self) -> Facts:
        """There is nothing to note."""
        return {}

    def execute(self, facts: Facts, pace: Pace) -> None:
        """Look for them, and repair. Raises StandsStill where that cannot be done now.

        It is no reason to go back: all that was copied would be forgotten.
        """
        try:
            if self.move.verify().only_extra:
                once_free(self.move.repair, BUSY_S, PAUSE_S, pace)
        except MoveFailed as fault:
            raise StandsStill(f"leftovers of {self.move.name}: {fault}") from fault

    def undo(self, facts: Facts, pace: Pace) -> None:
        """Nothing."""

    def holds(self, facts: Facts) -> bool:
        """Nobody can bring them back: the candidate's tables are shut."""
        return True


class Writer(Protocol):
    """A process that writes the candidate's tables without coming through the proxy."""

    def pid(self) -> int | None:
        """Its process, if it runs."""

    def stop(self, pace: Pace) -> None:
        """End it. Raises PartFailed."""

    def execute(self, facts: Facts, pace: Pace) -> None:
        """Start it. Raises PartFailed."""


@contextmanager
def standing_still(writers: tuple[Writer, ...], pace: Pace) -> Iterator[None]:
    """Those of them that run are stopped for the block, and started again after it.

    A stop that is asked for meanwhile keeps none of them from coming back, nor does one that fails
    keep the others. Each is bounded by what it takes itself.
    """
    running = [writer for writer in writers if writer.pid() is not None]
    unhurried = RealPace()  # which nobody asks to stop
    with ExitStack() as started_again:
        for writer in running:
            pace.wait(0)
            started_again.callback(writer.execute, {}, unhurried)
            writer.stop(unhurried)  # one that is half stopped would be found running
        pace.wait(0)
        yield


@dataclass(frozen=True)
class HandOver:
    """Cuts the writes over to the candidate's tables, and back with every write made since.

    One that is undone, because something was late or differed, has left everything as it was, and
    is tried again after a pause. One that an earlier run has left at work is waited for. `writers`
    stand still while the writes are handed back: the hold could not tell them from somebody who
    bypasses the proxy, and what they have to do waits in their queues.
    """

    move: DataMove
    writers: tuple[Writer, ...] = ()
    tries: int = 5
    pause_s: float = PAUSE_S
    busy_s: float = BUSY_S
    family: str | None = None

    @property
    def name(self) -> str:
        """The part's name in the ledger."""
        return f"hand {self.move.name} over"

    @property
    def forward(self) -> str:
        """What executing does, for the plan."""
        return f"hand the writes of {self.move.name} over to the candidate, its tables proved alike"

    @property
    def back(self) -> str:
        """What undoing does, for the plan."""
        return f"hand the writes of {self.move.name} back, with all that was written since"

    def prepare(self) -> Facts:
        """Note whose the tables are."""
        return {"owner": self._state().owner}

    def execute(self, facts: Facts, pace: Pace) -> str | None:
        """Cut over; one that was done already is left as it is. What it warned of, if it did."""
        return self._hand_over(CANDIDATE, pace)

    def undo(self, facts: Facts, pace: Pace) -> str | None:
        """Roll back, unless the tables were the candidate's before; likewise.

        Asked for also where the control has them: a cut-over of a run that was killed may be at
        work, and is waited for, or may have been left open, and is settled first.
        """
        if facts["owner"] != CONTROL:
            return None
        with standing_still(self.writers, pace):
            return self._hand_over(CONTROL, pace)

    def holds(self, facts: Facts) -> bool:
        """Whether the tables are still the candidate's."""
        return self._state().owner == CANDIDATE

    def _state(self) -> MoveState:
        try:
            return self.move.state()
        except MoveFailed as fault:  # which is no reason to go back
            raise StandsStill(f"whose {self.move.name} is cannot be read: {fault}") from fault

    def _hand_over(self, to: str, pace: Pace) -> str | None:
        """Until the tables are that side's; what the last try says is told if they never are.

        What the one that was done warns of.
        """
        ended = HandedOver(False, "it was not tried")
        for number in range(self.tries):
            if number:
                pace.wait(self.pause_s)
            try:
                ended = once_free(lambda: self.move.hand_over(to), self.busy_s, self.pause_s, pace)
            except MoveBusy as fault:  # what that one does to it is not known yet
                raise StandsStill(f"{self.move.name} was not handed over: {fault}") from fault
            except MoveFailed as fault:  # refused, or not settled: the state tells which
                ended = HandedOver(False, str(fault))
            if ended.done:
                return "; ".join(ended.warnings) or None
        self._see_where_it_stands(to, "; ".join((ended.reason, *ended.warnings)))
        return None

    def _see_where_it_stands(self, to: str, reason: str) -> None:
        """Raises PartFailed where nothing has changed, and StandsStill where that is not known."""
        state = self._state()
        if state.cut_over_begun:
            raise StandsStill(
                f"a cut-over of {self.move.name} was begun, and is neither done nor undone: "
                f"{reason}. Its mover, or the next try, settles it"
            )
        if state.owner != to:
            raise PartFailed(
                f"{self.move.name} was not handed over in {self.tries} tries, and all is as it "
                f"was: {reason}"
            )
