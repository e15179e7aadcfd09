"""One run of a step: `python -m tests.e2e.handover.stepping FOLDER DIRECTION [STEP]`.

The step `notes` moves them, `retire` and `retire-drop` leave the old tables behind. Its exit code
is how it ended; what it tells goes to its output.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from rich.console import Console

from strangler_proxy.steps import Stage, Step
from strangler_proxy.steps.decision import Direction
from strangler_proxy.steps.engine import Run
from strangler_proxy.steps.gates import Copied, RowsAlike
from strangler_proxy.steps.ledger import open_ledger
from strangler_proxy.steps.move_commands import MoveCommands
from strangler_proxy.steps.moves import mover_runs
from strangler_proxy.steps.narrator import Narrator
from strangler_proxy.steps.pace import RealPace, stopped_by_signals
from strangler_proxy.steps.parts import HandOver, PlanMove, RetireMove, StartProcess
from tests.e2e.handover.commands import COMMAND


def declare(folder: Path, name: str) -> Step:
    move = MoveCommands(
        "notes", folder / "moves.yaml", folder / "strangler.yaml", os.environ, COMMAND[:-1]
    )
    if name != "notes":
        retire = RetireMove(move, drop_tables=name == "retire-drop")
        return Step(name, "The end of the notes move", (Stage("notes", retire),))
    mover = StartProcess(
        "notes-mover", move.start_command, folder / "run", lambda: mover_runs(move), cwd=folder
    )
    return Step(
        "notes",
        "The notes move",
        (
            Stage("plan", PlanMove(move)),
            Stage("copy", mover, (Copied(move, 60.0), RowsAlike(move))),
            Stage("writes", HandOver(move)),
        ),
    )


def main(folder: Path, direction: str, name: str = "notes") -> int:
    pace, narrator = RealPace(), Narrator(Console(width=200), time.monotonic)
    with open_ledger(folder / f"{name}.jsonl", direction) as ledger, stopped_by_signals(pace):
        outcome = Run(declare(folder, name), ledger, pace, narrator, {}).to(Direction(direction))
    narrator.console.print(outcome.text)
    return int(outcome.ending)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
