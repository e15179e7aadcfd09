"""The commands of a move as a step runs them, over a stand-in for `strangler`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.processes import ROOT
from strangler_proxy.steps.move_commands import MoveCommands
from strangler_proxy.steps.moves import HandedOver, MoveBusy, MoveFailed
from strangler_proxy.steps.pace import RealPace
from strangler_proxy.steps.parts import ClearLeftovers, HandOver, RetireMove
from strangler_proxy.steps.step import NoWayBack
from tests.wire_tools.proxy import until

STATUS = {
    "begun_at": "2026-01-01T00:00:00.000Z", "running": None, "turn": None, "phase": "tailing",
    "owner": "control", "cut_over_begun": False, "caught_up_at": None, "tables": [],
    "waiting": None, "problems": [], "unanswered": [], "missing_triggers": [],
    "schema_changed": [], "ended": None,
}  # fmt: skip
STRANGLER = """
import json, pathlib, sys, time
here, command = pathlib.Path(__file__).parent, sys.argv[2]
status = json.loads((here / "status.json").read_text())
(here / f"{command} begun").touch()
deadline = time.monotonic() + 60
while (here / f"{command} held").exists() and time.monotonic() < deadline:
    time.sleep(0.01)
if command != "status":
    with (here / "calls").open("a") as calls:
        print(*sys.argv[2:4], *({"--repair"} & set(sys.argv)), file=calls)
    if command in ("cutover", "rollback"):
        status["owner"] = {"cutover": "candidate", "rollback": "control"}[command]
    if command == "retire":
        status["phase"] = "retired"
    (here / "status.json").write_text(json.dumps(status))
answer = here / f"{command}.json"
print(answer.read_text() if answer.exists() else json.dumps({"done": True, "already": True}))
"""
STEP = """
from pathlib import Path
from strangler_proxy.steps.pace import RealPace
from strangler_proxy.steps.parts import HandOver, RetireMove
from tests.integration.steps.test_move_commands import move_of

part = {part}(move_of(Path({folder!r})))
part.execute({{"owner": "control"}}, RealPace())
"""


def move_of(folder: Path) -> MoveCommands:
    command = (sys.executable, str(folder / "strangler.py"))
    return MoveCommands("notes", folder / "moves.yaml", folder / "c.yaml", os.environ, command)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "strangler.py").write_text(STRANGLER)
    stands(tmp_path)
    yield tmp_path
    let_go(tmp_path)  # whoever the test has left at work ends


def stands(folder: Path, **otherwise: object) -> None:
    (folder / "status.json").write_text(json.dumps({**STATUS, **otherwise}))


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().split("\n")[:-1]


def let_go(folder: Path) -> None:
    for held in folder.glob("* held"):
        held.unlink()


def killed_in(folder: Path, part: str, command: str) -> None:
    """A step that is killed while its command runs, before that has done anything."""
    (folder / f"{command} held").touch()
    program = STEP.format(part=part, folder=str(folder))
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    step = subprocess.Popen([sys.executable, "-c", program], env=environ)
    until((folder / f"{command} begun").exists, "the command runs", 60.0)
    step.kill()
    step.wait()


class Releasing(RealPace):
    """Whoever waits lets the command that is held go on."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def wait(self, seconds: float) -> None:
        let_go(self._folder)
        super().wait(min(seconds, 0.05))


def test_no_command_begins_beside_one_that_a_killed_step_has_left(folder: Path) -> None:
    move = move_of(folder)
    killed_in(folder, "HandOver", "cutover")
    assert move.state().changing
    for act in (lambda: move.hand_over("control"), move.remove, move.repair):
        with pytest.raises(MoveBusy, match="an earlier run began is still at work on notes"):
            act()
    let_go(folder)
    until(lambda: not move.state().changing, "it has ended", 60.0)
    assert calls(folder) == ["cutover notes"]


def test_an_undo_takes_back_the_cut_over_that_a_killed_step_has_left(folder: Path) -> None:
    killed_in(folder, "HandOver", "cutover")
    HandOver(move_of(folder)).undo({"owner": "control"}, Releasing(folder))
    assert calls(folder) == ["cutover notes", "rollback notes"]
    assert move_of(folder).state().owner == "control"


def test_an_undo_sees_the_retirement_that_a_killed_step_has_left(folder: Path) -> None:
    stands(folder, owner="candidate")
    killed_in(folder, "RetireMove", "retire")
    with pytest.raises(NoWayBack):
        RetireMove(move_of(folder)).undo({}, Releasing(folder))
    assert calls(folder) == ["retire notes"]


AT_WORK = "pid 7 on edge-1 ({}, since 2026-01-01T00:00:00.000Z)"
HELD = [
    ("start", None, True),
    ("verify --repair", "verify --repair", True),  # which a mover stands aside for
    ("remove", None, False),
    (None, None, False),
]


@pytest.mark.parametrize(("running", "turn", "runs"), HELD)
def test_a_mover_is_at_work_only_if_what_is_at_work_is_one_or_has_it_stand_aside(
    folder: Path, running: str | None, turn: str | None, runs: bool
) -> None:
    told = [command and AT_WORK.format(command) for command in (running, turn)]
    stands(folder, running=told[0], turn=told[1], ended="no room")
    state = move_of(folder).state()
    assert (state.runs, state.ended) == (runs, "no room")


def compared(folder: Path, *whats: str, more: int = 0) -> None:
    found = [{"table": "notes", "key": ["7"], "what": what} for what in whats]
    told = {"rows": 5, "differ": len(found) + more, "explained_by_waiting_changes": 0}
    (folder / "verify.json").write_text(json.dumps({**told, "differences": found}))


def test_rows_are_put_right_only_where_all_that_differ_are_left_over(folder: Path) -> None:
    for found, more in ((), 0), (("extra", "missing"), 0), (("extra",), 1):
        compared(folder, *found, more=more)
        ClearLeftovers(move_of(folder)).execute({}, RealPace())
    assert calls(folder) == ["verify notes"] * 3
    compared(folder, "extra", "extra")
    ClearLeftovers(move_of(folder)).execute({}, RealPace())
    assert calls(folder) == ["verify notes"] * 4 + ["verify notes --repair"]


def test_what_a_cut_over_warns_of_is_passed_on(folder: Path) -> None:
    ended = {"done": True, "already": False, "reason": None, "hold_ms": 80.5, "held": 3}
    told = json.dumps({**ended, "warnings": ["edge-2: flip by hand"]})
    (folder / "cutover.json").write_text('{"event": "said", "text": "..."}\n' + told)
    handed = move_of(folder).hand_over("candidate")
    assert handed == HandedOver(True, "", 80.5, 3, ("edge-2: flip by hand",))


def test_a_plan_that_reads_whole_tables_may_take_longer_than_a_look(folder: Path) -> None:
    move = replace(move_of(folder), look_s=0.5)
    for command in ("plan", "status"):
        (folder / f"{command} held").touch()
    with ThreadPoolExecutor(1) as thread:
        planned = thread.submit(move.plan)
        try:
            until((folder / "plan begun").exists, "it is being planned", 60.0)
            with pytest.raises(MoveFailed, match=r"timed out after 0\.5 seconds"):
                move.state()
        finally:
            let_go(folder)
        planned.result(60.0)
