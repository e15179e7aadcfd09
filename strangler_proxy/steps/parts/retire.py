"""The end of a move of data: the control's tables are left behind, and nothing leads back."""

from dataclasses import dataclass

from strangler_proxy.steps.gates.health import Checkup
from strangler_proxy.steps.moves import CANDIDATE, DataMove, MoveFailed, MoveState
from strangler_proxy.steps.pace import wait_until
from strangler_proxy.steps.parts.data import BUSY_S, PAUSE_S, once_free
from strangler_proxy.steps.step import Facts, NoWayBack, Pace, PartFailed, StandsStill


@dataclass(frozen=True)
class RetireMove:
    """Leaves the control's tables behind for good. There is no way back: put it last.

    One that cannot be retired now stops the step where it stands, since others may be retired. So
    does `needed`, which says why the control is needed still: it is asked at the last moment, for
    what the gates saw may be long ago.
    """

    move: DataMove
    drop_tables: bool = False
    needed: Checkup = lambda: None
    busy_s: float = BUSY_S
    pause_s: float = PAUSE_S
    family: str | None = None

    @property
    def name(self) -> str:
        """The part's name in the ledger."""
        return f"retire the move of {self.move.name}"

    @property
    def forward(self) -> str:
        """What executing does, for the plan."""
        old = "drop the old tables" if self.drop_tables else "keep the old tables shut"
        return f"carry nothing of {self.move.name} back any more, for good, and {old}"

    @property
    def back(self) -> str:
        """What undoing does, for the plan."""
        return "impossible: nothing was carried back since"

    def prepare(self) -> Facts:
        """The tables must be the candidate's, and nobody may need the control's."""
        if self._state().owner != CANDIDATE:
            raise StandsStill(f"the control owns the tables of {self.move.name}")
        self._refuse_needed()
        return {}

    def execute(self, facts: Facts, pace: Pace) -> None:
        """Retire it; one that is retired stays so."""
        if not self._state().retired:
            self._refuse_needed()
        try:
            once_free(lambda: self.move.retire(self.drop_tables), self.busy_s, self.pause_s, pace)
        except MoveFailed as fault:
            raise StandsStill(f"{self.move.name} was not retired: {fault}") from fault

    def undo(self, facts: Facts, pace: Pace) -> None:
        """Nothing, unless its end was begun: there is no way back then. Raises NoWayBack.

        A retirement that an earlier run has left at work is waited for, also one that has not
        begun yet.
        """
        if not wait_until(self._nobody_retires, self.busy_s, pace, self.pause_s):
            raise PartFailed(f"{self.move.name} is being retired: wait until that has ended")
        if self._state().retired:
            raise NoWayBack(f"{self.move.name} is retired for good: no way leads back")

    def holds(self, facts: Facts) -> bool:
        """For good."""
        return True

    def _nobody_retires(self) -> bool:
        state = self._state()
        return not (state.retiring or state.changing)

    def _state(self) -> MoveState:
        try:
            return self.move.state()
        except MoveFailed as fault:
            raise StandsStill(f"{self.move.name}: {fault}") from fault

    def _refuse_needed(self) -> None:
        if why := self.needed():
            raise StandsStill(f"{self.move.name} was not retired: {why}")
