"""Puts one question to spin, within bounds of time and memory. Nothing of it stays on disk."""

import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from scripts.protocol_model.questions import Question

MODEL = Path(__file__).parents[2] / "strangler_proxy" / "handover" / "model" / "handover.pml"
HINT = "Debian and Ubuntu have both: apt-get install spin gcc"
DEEPEST = 20_000
BUILD_LIMIT_S = 60
TRAIL_LINES = 160


class SpinMissing(Exception):
    """A program that the model needs is not installed; the message says which, and where from."""


class ModelBroken(Exception):
    """spin or gcc did not take the model; the message has what they said."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long one search may take, and how much memory."""

    seconds: float = 300
    megabytes: int = 4_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What pan said.

    `fault` is the error it found; `unfinished`, why it did not look everywhere; `trail`, the way to
    an error that nobody expects.
    """

    question: Question
    states: int
    seconds: float
    megabytes: float
    fault: str | None = None
    unfinished: str | None = None
    trail: str = ""

    @property
    def as_it_must(self) -> bool:
        """Whether this is what the question says must come out; a search cut short is not."""
        if self.question.refuted_by is None:
            return self.fault is None and self.unfinished is None
        return self.fault is not None and self.question.refuted_by in self.fault


def needed() -> None:
    """Raise SpinMissing unless spin and gcc are there."""
    missing = [program for program in ("spin", "gcc") if shutil.which(program) is None]
    if missing:
        raise SpinMissing(f"{' and '.join(missing)} not found. {HINT}")


def ask(question: Question, bounds: Bounds = Bounds()) -> Outcome:
    """Build the model as the question wants it, search it, and tell what came out.

    Raises SpinMissing, and ModelBroken when the model does not build.
    """
    needed()
    with tempfile.TemporaryDirectory(prefix="strangler-model-") as name:
        folder = Path(name)
        _build(question, bounds, folder)
        began = time.monotonic()
        try:
            said = _run(folder, *_search(question), limit_s=bounds.seconds)
        except subprocess.TimeoutExpired:
            late = f"not finished after {bounds.seconds:.0f} s"
            return Outcome(question, 0, time.monotonic() - began, 0, unfinished=late)
        outcome = read(question, said, time.monotonic() - began)
        if outcome.fault is None or outcome.as_it_must:
            return outcome
        return _with_trail(outcome, folder)


def read(question: Question, said: str, seconds: float) -> Outcome:
    """Understand what pan printed. Raises ModelBroken where it is no result at all."""
    errors = re.search(r"errors: (\d+)", said)
    if errors is None:
        raise ModelBroken(f"pan gave no result for {question.name!r}:\n{said[-2000:]}")
    fault = re.search(r"^pan:\d+: (.*)$", said, re.MULTILINE)
    cut = re.search(r"max search depth too small|reached -DMEMLIM bound|out of memory", said)
    return Outcome(
        question,
        states=int(float(_number(r"([\d.e+]+) states, stored", said))),
        seconds=seconds,
        megabytes=float(_number(r"([\d.]+)\s+total actual memory usage", said)),
        fault=(fault.group(1) if fault else "an error") if errors.group(1) != "0" else None,
        unfinished=cut.group(0) if cut else None,
    )


def _number(pattern: str, said: str) -> str:
    found = re.search(pattern, said)
    return found.group(1) if found else "0"


def _build(question: Question, bounds: Bounds, folder: Path) -> None:
    _run(folder, "spin", *_defines(question), "-a", str(MODEL), limit_s=BUILD_LIMIT_S, must=True)
    kind = "-DNP" if question.cycles else "-DSAFETY"
    # A fault is found in moments, and then building well costs more than it brings.
    effort = "-O2" if question.refuted_by is None else "-O0"
    sizes = [f"-DMEMLIM={bounds.megabytes}", "-DVECTORSZ=512"]
    command = ["gcc", effort, "-w", kind, *sizes, "-o", "pan", "pan.c"]
    _run(folder, *command, limit_s=BUILD_LIMIT_S, must=True)


def _search(question: Question) -> list[str]:
    hashes = "22" if question.refuted_by else "24"
    return ["./pan", "-n", f"-m{DEEPEST}", f"-w{hashes}", *(["-l"] if question.cycles else [])]


def _defines(question: Question) -> list[str]:
    return [
        f"-D{name}" if value is None else f"-D{name}={value}"
        for name, value in question.defines.items()
    ]


def _with_trail(outcome: Outcome, folder: Path) -> Outcome:
    # spin looks for the trail beside the model's name in the folder where it runs.
    steps = _run(
        folder,
        *("spin", *_defines(outcome.question), "-p", "-k", f"{MODEL.name}.trail", str(MODEL)),
        limit_s=BUILD_LIMIT_S,
    )
    lines = steps.replace(str(MODEL), MODEL.name).splitlines()
    told = [line for line in lines if not line.endswith(("[sub-sequence]", "[.(goto)]", "[IF]"))]
    return replace(outcome, trail="\n".join(told[-TRAIL_LINES:]))


def _run(folder: Path, *command: str, limit_s: float, must: bool = False) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=limit_s, check=False
    )
    if must and done.returncode != 0:
        raise ModelBroken(f"{' '.join(command)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout + done.stderr
