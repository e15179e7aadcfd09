"""A step and where it stands, as a table for people and as plain values for programs. Pure."""

from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from strangler_proxy.steps.decision import (
    Direction,
    Execute,
    Move,
    Prove,
    Undo,
    UnknownPart,
    next_move,
)
from strangler_proxy.steps.state import Phase, Progress, State
from strangler_proxy.steps.step import Step, gate_key


def as_table(step: Step, state: State) -> Table:
    """The plan: each part with its undo, each gate with its criteria, and how far each is."""
    table = Table(title=step.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("part / gate", justify="right", no_wrap=True)
    table.add_column("what it does / what it asks")
    table.add_column("state", no_wrap=True)
    for number, stage in enumerate(step.stages, start=1):
        if stage.part:
            mark = _PART_MARKS[state.part(stage.part.name).progress]
            table.add_row(str(number), escape(stage.part.forward), mark, style="bold")
            table.add_row("undo", escape(stage.part.back), "", style="dim")
        for gate in stage.gates:
            mark = _gate_mark(state, gate_key(stage, gate))
            table.add_row(escape(gate.name), escape(gate.criteria), mark)
    return table


def _gate_mark(state: State, key: str) -> str:
    if key in state.passed:
        return "passed"
    return "under way" if key in state.noted else ""


def as_values(step: Step, state: State) -> dict[str, Any]:
    """The same as JSON values."""
    return {
        "step": step.name,
        "phase": str(state.phase),
        "cause": state.cause,
        "stages": [
            {
                "name": stage.name,
                "part": stage.part
                and {
                    "name": stage.part.name,
                    "does": stage.part.forward,
                    "undo": stage.part.back,
                    "progress": str(state.part(stage.part.name).progress),
                },
                "gates": [
                    {
                        "name": gate.name,
                        "criteria": gate.criteria,
                        "passed": gate_key(stage, gate) in state.passed,
                        "noted": state.noted.get(gate_key(stage, gate)),
                    }
                    for gate in stage.gates
                ],
            }
            for stage in step.stages
        ],
        "next": {str(way): next_in_words(step, state, way) for way in Direction},
    }


def standing(state: State) -> str:
    """Where the step stands, in one line."""
    cause = f" because {state.cause}" if state.cause else ""
    return {
        Phase.IDLE: f"fell back{cause}" if cause else "not begun, or wholly undone",
        Phase.FORWARD: "under way",
        Phase.BACK: f"going back{cause}",
        Phase.FINISHED: "done",
    }[state.phase]


def next_in_words(step: Step, state: State, wanted: Direction) -> str:
    """What a run in this direction would do first."""
    try:
        return _words(next_move(step, state, wanted), step)
    except UnknownPart as fault:
        return str(fault)


def _words(move: Move, step: Step) -> str:
    match move:
        case Execute(part):
            return part.forward
        case Prove(stage, gate):
            return f"{gate_key(stage, gate)}: {gate.criteria}"
        case Undo(parts):
            return parts[-1].back
        case _:
            return _PLAIN[type(move).__name__]


_PLAIN = {
    "Begin": "begin from the start",
    "Finish": "write down that it is done",
    "TurnBack": "undo all that was done, last part first",
    "Restore": "write down that it is undone",
    "Rest": "nothing",
}
_PART_MARKS = {
    Progress.UNTOUCHED: "",
    Progress.DOING: "begun",
    Progress.DONE: "done",
    Progress.UNDOING: "going back",
}
