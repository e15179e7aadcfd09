"""What a step is made of: parts that go forward and back, and gates that must prove themselves.

Only values and ports; nothing here acts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

Facts = Mapping[str, Any]
"""What a part needs to know to be completed or undone by another process: JSON values only."""


class Verdict(StrEnum):
    """What the evidence amounts to. Too little of it is inconclusive, never a pass."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a gate has seen up to now: the verdict, one line for people, and its numbers."""

    verdict: Verdict
    text: str
    numbers: Mapping[str, float] = field(default_factory=dict)


class PartFailed(Exception):
    """A part could not be executed or undone; the message says what, where and what to do."""


class NoWayBack(PartFailed):
    """A part cannot be undone, now or ever: the step can only be completed."""


class StandsStill(Exception):
    """A part cannot be done now, and what is before it cannot be taken back: the step stands.

    The message says why; the same command tries it again.
    """


class Interrupted(Exception):
    """A person or a supervisor asked the step to stop; it stands where its ledger says."""


class Pace(Protocol):
    """Time, as the engine and the parts may use it."""

    def now(self) -> float:
        """Monotonic seconds."""

    def wait(self, seconds: float) -> None:
        """Let the time pass. Raises Interrupted as soon as a stop is asked for."""


class Part(Protocol):
    """One change to the world that can be taken back.

    The ledger holds the facts before `execute` begins, so both directions must be idempotent:
    either may follow a process that was killed anywhere inside the other.
    """

    @property
    def name(self) -> str:
        """Unique in its step, and the same in every run: the ledger knows the part by it."""

    @property
    def family(self) -> str | None:
        """Adjacent parts of one family are undone at once, by the undo of the first of them."""

    @property
    def forward(self) -> str:
        """What executing does, for the plan."""

    @property
    def back(self) -> str:
        """What undoing does, for the plan."""

    def prepare(self) -> Facts:
        """Look at what is there now, and change nothing. Raises as `execute`."""

    def execute(self, facts: Facts, pace: Pace) -> str | None:
        """Make the change; what is left for a person to look at, if anything is.

        Raises PartFailed, StandsStill, Interrupted.
        """

    def undo(self, facts: Facts, pace: Pace) -> str | None:
        """Make it as it was; likewise."""

    def holds(self, facts: Facts) -> bool:
        """Whether the change, once made, is still in force (a process may have died since)."""


@runtime_checkable
class PutOff(Part, Protocol):
    """A part whose work waits for its undo: executed, it has not done what it is named after."""

    @property
    def put_off(self) -> str:
        """What is told, in place of its name, once it is executed."""


class Trial(Protocol):
    """One attempt of a gate to prove itself."""

    def look(self) -> Evidence:
        """Observe once more, and judge everything observed in this trial.

        Raises StandsStill where waiting would mend nothing, and going back would spoil too much.
        """


class Gate(Protocol):
    """Evidence that a step needs before it goes on."""

    @property
    def name(self) -> str:
        """Unique among the gates of its stage."""

    @property
    def criteria(self) -> str:
        """What it takes to pass, for the plan."""

    @property
    def patience_s(self) -> float:
        """How long an inconclusive trial may go on before the step stops."""

    @property
    def interval_s(self) -> float:
        """How long to wait between two looks."""

    def begin(self, pace: Pace) -> Trial:
        """Start observing from now on, knowing nothing of earlier trials."""


@runtime_checkable
class LongTrial(Trial, Protocol):
    """An attempt that a later run goes on with, from what is noted of it."""

    def noted(self) -> Facts:
        """What that run needs, nothing yet if empty. Each change is written down: be sparing."""


@runtime_checkable
class LongGate(Gate, Protocol):
    """A gate whose attempt takes so long that it outlives the run in which it was begun."""

    def resume(self, pace: Pace, noted: Facts) -> LongTrial:
        """Go on from what an earlier run has noted."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One part and the gates behind it; a stage without a part only asks for proof."""

    name: str
    part: Part | None = None
    gates: tuple[Gate, ...] = ()


@dataclass(frozen=True)
class Step:
    """One extraction: its stages in order. Raises ValueError if two share a name."""

    name: str
    title: str
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        for what, names in (
            ("stage", [stage.name for stage in self.stages]),
            ("part", [part.name for part in self.parts]),
            ("gate", [gate_key(stage, gate) for stage in self.stages for gate in stage.gates]),
        ):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"step {self.name!r} names a {what} twice: {', '.join(twice)}")

    @property
    def parts(self) -> Iterator[Part]:
        """The parts, in the order they execute."""
        return (stage.part for stage in self.stages if stage.part)


def gate_key(stage: Stage, gate: Gate) -> str:
    """The name that the ledger knows a gate by."""
    return f"{stage.name}/{gate.name}"
