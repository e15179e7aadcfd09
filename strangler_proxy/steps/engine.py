"""Runs a step: asks what comes next, writes the intent down, acts, writes the result down.

Killed between any two of these, the same call in a new process completes or undoes the step.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

from strangler_proxy.steps.decision import (
    Begin,
    Direction,
    Execute,
    Finish,
    Move,
    Prove,
    Rest,
    Restore,
    TurnBack,
    Undo,
    next_move,
)
from strangler_proxy.steps.duration import spelled
from strangler_proxy.steps.ledger import Ledger
from strangler_proxy.steps.order import OutOfTurn
from strangler_proxy.steps.state import Kind, Phase, Progress
from strangler_proxy.steps.step import (
    Evidence,
    Gate,
    Interrupted,
    LongGate,
    LongTrial,
    NoWayBack,
    Pace,
    Part,
    PartFailed,
    PutOff,
    StandsStill,
    Step,
    Trial,
    Verdict,
    gate_key,
)


class Ending(IntEnum):
    """How a run ended; the number is the exit code of a step script."""

    DONE = 0
    FELL_BACK = 1
    STOPPED = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, why, and what a person can do now."""

    ending: Ending
    text: str
    advice: str = ""


class Watcher(Protocol):
    """Somebody who follows a run."""

    def acting(self, text: str) -> None:
        """A part begins."""

    def looking(self, gate: str, evidence: Evidence) -> None:
        """A gate has looked once more."""

    def result(self, text: str, verdict: Verdict) -> None:
        """A part or a gate has ended, well or not."""

    def left(self, text: str) -> None:
        """A part has ended, and has left something for a person to look at."""


@dataclass(frozen=True)
class Run:
    """One process at work on one step. `options` are remembered in the ledger for later runs.

    `needed_by` tells the steps that are in force and would break without this one: it is executed
    again when a part has lapsed, such as a service that ended, but stops where it would fall back.
    `out_of_turn` says why it may not go a way by where other steps stand, None while it may. Both
    are asked behind a record of this step's: who writes first and then looks is seen, or sees.
    """

    step: Step
    ledger: Ledger
    pace: Pace
    watcher: Watcher
    options: dict[str, Any]
    needed_by: Callable[[], Sequence[str]] = tuple
    out_of_turn: Callable[[Direction], str | None] = lambda _: None

    def to(self, wanted: Direction) -> Outcome:
        """Go on until the step is done, undone, fallen back or stopped.

        Raises UnknownPart and OutOfTurn, with nothing done.
        """
        next_move(self.step, self.ledger.state, wanted)
        if self.ledger.state.phase is Phase.BACK:
            self._see_turn(Direction.UNDO)
        self._remember_options()
        try:
            if wanted is Direction.EXECUTE:
                self._record_lapses()
            while True:
                self.pace.wait(0)
                move = next_move(self.step, self.ledger.state, wanted)
                outcome = self._make(move, wanted)
                if outcome is not None:
                    return outcome
        except Interrupted as stop:
            return self._stopped(f"stopped by {stop}", wanted)
        except (StandsStill, PartFailed) as fault:
            return self._stopped(str(fault), wanted)

    def _make(self, move: Move, wanted: Direction) -> Outcome | None:
        record = self.ledger.record
        match move:
            case Begin():
                record(Kind.BEGAN, options=self.options)
                self._see_turn(Direction.EXECUTE, Kind.RESTORED)
            case Execute(part, resumed):
                return self._execute(part, resumed)
            case Prove():
                return self._prove(move)
            case Finish():
                record(Kind.FINISHED)
            case TurnBack():
                finished = self.ledger.state.phase is Phase.FINISHED
                record(Kind.TURNED)
                self._see_turn(Direction.UNDO, Kind.FINISHED if finished else Kind.ONWARD)
            case Undo(parts):
                return self._undo(parts, wanted)
            case Restore():
                return self._restored(wanted)
            case Rest():
                return self._rested(wanted)
        return None

    def _see_turn(self, way: Direction, taken_back: Kind | None = None) -> None:
        """Look where the others stand, and take back what was just written if it is not its turn.

        A run that is killed in between leaves its record, and the next one looks before it acts.
        """
        if why := self.out_of_turn(way):
            if taken_back is not None:
                self.ledger.record(taken_back, parts=[], text=why)
            raise OutOfTurn(why)

    def _remember_options(self) -> None:
        chosen = json.loads(json.dumps(self.options, default=str))
        state = self.ledger.state
        if state.phase is not Phase.IDLE and chosen != state.options:
            self.ledger.record(Kind.CHOSEN, options=chosen)

    def _execute(self, part: Part, resumed: bool) -> Outcome | None:
        self.watcher.acting(part.forward)
        try:
            if not resumed:
                self.ledger.record(Kind.DOING, part=part.name, facts=dict(part.prepare()))
            left = part.execute(self.ledger.state.part(part.name).facts, self.pace)
        except PartFailed as fault:
            self.pace.wait(
                0
            )  # Ctrl-C ends the part's own processes too, which is no fault of theirs
            text = f"{part.name}: {fault}"
            self.watcher.result(text, Verdict.FAILED)
            return self._failed(text)
        self.ledger.record(Kind.DONE, part=part.name, **_kept(left))
        told = part.put_off if isinstance(part, PutOff) else part.name
        self.watcher.result(told, Verdict.PASSED)
        self._tell_left(part, left)
        return None

    def _prove(self, move: Prove) -> Outcome | None:
        key = gate_key(move.stage, move.gate)
        evidence = self._try(move)
        if evidence.verdict is Verdict.FAILED:
            self.pace.wait(0)  # as in _execute
        text = f"{key}: {evidence.text}"
        self.watcher.result(text, evidence.verdict)
        found = {"gate": key, "evidence": evidence.text, "numbers": dict(evidence.numbers)}
        if evidence.verdict is Verdict.PASSED:
            self.ledger.record(Kind.PASSED, **found)
            return None
        if evidence.verdict is Verdict.FAILED:
            return self._failed(text, **found)
        waited_s = move.gate.patience_s
        after = f"too little evidence after {spelled(waited_s)}: " if waited_s else ""
        return self._stopped(f"{after}{text}")

    def _failed(self, text: str, **found: Any) -> Outcome | None:
        """From here on the step goes back, unless others stand on it."""
        if others := ", ".join(self.needed_by()):
            return self._stopped(f"{text}. It does not fall back, since these need it: {others}")
        self.ledger.record(Kind.FAILED, text=text, **found)
        return None

    def _try(self, move: Prove) -> Evidence:
        key, gate = gate_key(move.stage, move.gate), move.gate
        deadline = self.pace.now() + gate.patience_s
        trial = self._begin(key, gate)
        while True:
            evidence = trial.look()
            self._note(key, trial)
            self.watcher.looking(key, evidence)
            if evidence.verdict is not Verdict.INCONCLUSIVE or self.pace.now() >= deadline:
                return evidence
            self.pace.wait(gate.interval_s)

    def _begin(self, key: str, gate: Gate) -> Trial:
        noted = self.ledger.state.noted.get(key)
        if noted is not None and isinstance(gate, LongGate):
            return gate.resume(self.pace, noted)
        return gate.begin(self.pace)

    def _note(self, key: str, trial: Trial) -> None:
        if not isinstance(trial, LongTrial):
            return
        noted = dict(trial.noted())
        if noted and noted != self.ledger.state.noted.get(key):
            self.ledger.record(Kind.NOTED, gate=key, facts=noted)

    def _undo(self, parts: tuple[Part, ...], wanted: Direction) -> Outcome | None:
        names, first = [part.name for part in parts], parts[-1]
        self.watcher.acting(first.back)
        self.ledger.record(Kind.UNDOING, parts=names)
        try:
            left = first.undo(self.ledger.state.part(first.name).facts, self.pace)
        except NoWayBack as fault:
            self.watcher.result(f"{first.name}: {fault}", Verdict.FAILED)
            self.ledger.record(Kind.ONWARD, part=first.name, text=str(fault))
            advice = "The step can only be completed: --execute goes on from here."
            return Outcome(Ending.STOPPED, str(fault), advice)
        except PartFailed as fault:
            self.watcher.result(f"{first.name}: {fault}", Verdict.FAILED)
            return self._stopped(f"{first.name} could not be undone: {fault}", wanted)
        self.ledger.record(Kind.UNDONE, parts=names, **_kept(left))
        self.watcher.result(f"undone: {', '.join(names)}", Verdict.PASSED)
        self._tell_left(first, left)
        return None

    def _tell_left(self, part: Part, left: str | None) -> None:
        if left:
            self.watcher.left(f"{part.name}: {left}")

    def _restored(self, wanted: Direction) -> Outcome | None:
        cause = self.ledger.state.cause
        self.ledger.record(Kind.RESTORED)
        if cause is not None and wanted is Direction.EXECUTE:
            advice = "Everything is as it was before. Look into the cause, then --execute again."
            return Outcome(Ending.FELL_BACK, f"fell back: {cause}", advice)
        return None

    def _rested(self, wanted: Direction) -> Outcome:
        if wanted is Direction.UNDO:
            return Outcome(Ending.DONE, "undone: everything is as it was before the step")
        return Outcome(Ending.DONE, "done: every part is in force, every gate has passed")

    def _stopped(self, text: str, wanted: Direction = Direction.EXECUTE) -> Outcome:
        self.ledger.record(Kind.STOPPED, text=text)
        if wanted is Direction.UNDO or self.ledger.state.phase is Phase.BACK:
            advice = "The undo is not complete: run the same command again once that is mended."
        else:
            advice = "The step stands where it is: --execute goes on from here, --undo goes back."
        return Outcome(Ending.STOPPED, text, advice)

    def _record_lapses(self) -> None:
        """Have parts done again that were done but are no longer in force, and their gates."""
        state = self.ledger.state
        if state.phase not in (Phase.FORWARD, Phase.FINISHED):
            return
        for stage in self.step.stages:
            part = stage.part
            known = state.part(part.name) if part else None
            if part and known and known.progress is Progress.DONE and not part.holds(known.facts):
                gates = [gate_key(stage, gate) for gate in stage.gates]
                self.ledger.record(Kind.LAPSED, part=part.name, gates=gates)


def _kept(left: str | None) -> dict[str, str]:
    return {"left": left} if left else {}
