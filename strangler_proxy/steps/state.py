"""Where a step stands, folded from the records of its ledger. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from strangler_proxy.steps.step import Facts

Record = Mapping[str, Any]


class Phase(StrEnum):
    """The direction that the ledger is committed to."""

    IDLE = "idle"
    FORWARD = "forward"
    BACK = "back"
    FINISHED = "finished"


class Kind(StrEnum):
    """What a record says. Intents are written before the act, results after it."""

    RUN = "run"
    """A process took the ledger: who, since when, which direction."""
    BEGAN = "began"
    """An attempt began, with the options it was given."""
    CHOSEN = "chosen"
    """A later run of the attempt was given other options, which hold from here on."""
    DOING = "doing"
    DONE = "done"
    LAPSED = "lapsed"
    """A part that was done is no longer in force, and has to be done again."""
    NOTED = "noted"
    """What a later run needs to go on with a gate that takes long."""
    PASSED = "passed"
    FAILED = "failed"
    """A gate failed or a part could not be executed: from here on the step goes back."""
    STOPPED = "stopped"
    """The run ended without a decision; the step stands where it is."""
    TURNED = "turned"
    """Somebody asked for the undo."""
    UNDOING = "undoing"
    UNDONE = "undone"
    ONWARD = "onward"
    """It cannot be undone, by a part or by its turn: from here on the step goes forward again."""
    FINISHED = "finished"
    RESTORED = "restored"
    """Everything is undone; the next execute begins a new attempt."""


class Progress(StrEnum):
    """How far one part is. A part that is `doing` or `undoing` may be done in any measure."""

    UNTOUCHED = "untouched"
    DOING = "doing"
    DONE = "done"
    UNDOING = "undoing"


@dataclass(frozen=True, slots=True)
class PartState:
    """One part, as the ledger knows it."""

    progress: Progress = Progress.UNTOUCHED
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """Where the step stands. `cause` is why it goes or went back, None when it was asked to.

    `noted` is what is known of gates that are under way, by their keys.
    """

    phase: Phase = Phase.IDLE
    parts: Mapping[str, PartState] = field(default_factory=dict)
    passed: frozenset[str] = frozenset()
    cause: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    noted: Mapping[str, Facts] = field(default_factory=dict)

    def part(self, name: str) -> PartState:
        """The part of that name; untouched if the ledger has not heard of it."""
        return self.parts.get(name, PartState())

    @property
    def touched(self) -> frozenset[str]:
        """The parts that an undo has to undo."""
        return frozenset(n for n, p in self.parts.items() if p.progress is not Progress.UNTOUCHED)


def fold(records: Iterable[Record]) -> State:
    """The state after all the records. Raises ValueError for a record of an unknown kind."""
    state = State()
    for record in records:
        state = after(state, record)
    return state


def after(state: State, record: Record) -> State:
    """The state after one more record."""
    kind = Kind(record["kind"])
    if kind in _OF_PARTS:
        return _after_parts(state, kind, record)
    match kind:
        case Kind.BEGAN:
            return State(phase=Phase.FORWARD, options=record.get("options", {}))
        case Kind.CHOSEN:
            return replace(state, options=record.get("options", {}))
        case Kind.NOTED:
            return replace(state, noted={**state.noted, record["gate"]: record["facts"]})
        case Kind.PASSED:
            return replace(state, passed=state.passed | {record["gate"]})
        case Kind.FAILED | Kind.TURNED:
            return replace(state, phase=Phase.BACK, cause=record.get("text"))
        case Kind.FINISHED:
            return replace(state, phase=Phase.FINISHED)
        case Kind.RESTORED:
            return State(cause=state.cause)
    return state


_OF_PARTS = {
    Kind.DOING: Progress.DOING,
    Kind.DONE: Progress.DONE,
    Kind.LAPSED: Progress.DOING,
    Kind.UNDOING: Progress.UNDOING,
    Kind.UNDONE: Progress.UNTOUCHED,
    Kind.ONWARD: Progress.DOING,
}


def _after_parts(state: State, kind: Kind, record: Record) -> State:
    names = record["parts"] if "parts" in record else [record["part"]]
    then = _with(state, names, _OF_PARTS[kind], record.get("facts"))
    if kind is Kind.LAPSED:
        passed = state.passed - set(record["gates"])
        return replace(then, phase=Phase.FORWARD, passed=passed, noted={})
    if kind is Kind.ONWARD:
        return replace(then, phase=Phase.FORWARD, cause=None)
    return then


def _with(
    state: State, names: Iterable[str], progress: Progress, facts: Facts | None = None
) -> State:
    changed = {
        name: PartState(progress, state.part(name).facts if facts is None else facts)
        for name in names
    }
    return replace(state, parts={**state.parts, **changed})
