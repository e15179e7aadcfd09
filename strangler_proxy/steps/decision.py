"""What comes next. Pure: from the step, the state of its ledger and the wanted direction alone.

| wanted  | idle    | forward                         | back                        | finished |
|---------|---------|---------------------------------|-----------------------------|----------|
| execute | Begin   | Execute, Prove, at last Finish  | Undo all of it, Restore     | Rest     |
| undo    | Rest    | TurnBack                        | Undo all of it, Restore     | TurnBack |

Going back is never broken off to go forward again: what the gates saw before is out of date.
"""

from dataclasses import dataclass
from enum import StrEnum

from strangler_proxy.steps.state import Phase, Progress, State
from strangler_proxy.steps.step import Gate, Part, Stage, Step, gate_key


class Direction(StrEnum):
    """What whoever runs the step wants."""

    EXECUTE = "execute"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class Begin:
    """Open a new attempt."""


@dataclass(frozen=True, slots=True)
class Execute:
    """Execute the part; with `resumed` its facts are in the ledger and it may be half done."""

    part: Part
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Prove:
    """Let the gate prove itself."""

    stage: Stage
    gate: Gate


@dataclass(frozen=True, slots=True)
class Finish:
    """All parts are done and all gates have passed: say so in the ledger."""


@dataclass(frozen=True, slots=True)
class TurnBack:
    """Commit the ledger to going back."""


@dataclass(frozen=True, slots=True)
class Undo:
    """Undo these parts at once, last first; the last of the tuple knows what was there before."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Restore:
    """All parts are undone: say so in the ledger."""


@dataclass(frozen=True, slots=True)
class Rest:
    """There is nothing to do."""


Move = Begin | Execute | Prove | Finish | TurnBack | Undo | Restore | Rest


class UnknownPart(ValueError):
    """The ledger has parts in force that the step, as declared now, does not have."""


def next_move(step: Step, state: State, wanted: Direction) -> Move:
    """The one thing to do next. Raises UnknownPart if the ledger is of another declaration."""
    strangers = state.touched - {part.name for part in step.parts}
    if strangers:
        raise UnknownPart(
            f"the ledger has parts in force that this step lacks: {', '.join(sorted(strangers))}; "
            "run with the options of that attempt, or undo it first"
        )
    match state.phase, wanted:
        case (Phase.BACK, _):
            return _back(step, state)
        case (Phase.IDLE, Direction.EXECUTE):
            return Begin()
        case (Phase.FORWARD, Direction.EXECUTE):
            return _forward(step, state)
        case (Phase.FORWARD | Phase.FINISHED, Direction.UNDO):
            return TurnBack()
        case _:
            return Rest()


def _forward(step: Step, state: State) -> Move:
    for stage in step.stages:
        if stage.part is not None:
            progress = state.part(stage.part.name).progress
            if progress is not Progress.DONE:
                return Execute(stage.part, resumed=progress is not Progress.UNTOUCHED)
        for gate in stage.gates:
            if gate_key(stage, gate) not in state.passed:
                return Prove(stage, gate)
    return Finish()


def _back(step: Step, state: State) -> Move:
    waiting = [part for part in step.parts if part.name in state.touched]
    if not waiting:
        return Restore()
    together = [waiting.pop()]
    family = together[0].family
    # A failing candidate is left at one stroke, not by the percentages it came in by.
    while waiting and family is not None and waiting[-1].family == family:
        together.append(waiting.pop())
    return Undo(tuple(together))
