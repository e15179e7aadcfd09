"""A command as a part, and work that is waited for before it is undone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from scripts.processes import ROOT
from strangler_proxy.steps import Stage, Step
from strangler_proxy.steps.decision import Direction
from strangler_proxy.steps.engine import Run
from strangler_proxy.steps.ledger import open_ledger
from strangler_proxy.steps.pace import RealPace, wait_until
from strangler_proxy.steps.parts import FinishFirst, RunCommand, RunWhenUndone, StartProcess
from strangler_proxy.steps.step import PartFailed
from tests.unit.steps.fakes import FakePace, Silent

RUN = """
from pathlib import Path
import sys
from strangler_proxy.steps.pace import RealPace, stopped_by_signals
from strangler_proxy.steps.parts import RunCommand
from strangler_proxy.steps.step import Interrupted

part = RunCommand("sleep", (sys.executable, "-c", {program!r}), Path({folder!r}))
pace = RealPace()
with stopped_by_signals(pace):
    try:
        part.execute({{}}, pace)
    except Interrupted as stop:
        print("stopped by", stop)
"""


def command(folder: Path, program: str, **more: object) -> RunCommand:
    return RunCommand("make the tables", (sys.executable, "-c", program), folder, **more)


def test_a_command_is_run_to_its_end_where_and_with_what_it_is_told(tmp_path: Path) -> None:
    write = "import os; open('made', 'a').write(os.environ['WORD'])"
    part = command(tmp_path, write, environment={"WORD": "yes"})
    for _ in range(2):
        part.execute(part.prepare(), FakePace())
    part.undo({}, FakePace())
    assert (tmp_path / "made").read_text() == "yesyes"


def test_a_command_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    part = command(tmp_path, "import sys; print('no database'); sys.exit(3)")
    with pytest.raises(PartFailed, match="make the tables: it ended with 3: no database"):
        part.execute({}, FakePace())


def test_a_command_that_does_not_end_or_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(PartFailed, match="timed out"):
        command(tmp_path, "import time; time.sleep(60)", within_s=0.2).execute({}, FakePace())
    with pytest.raises(PartFailed, match="No such file"):
        RunCommand("make it", ("no-such-command",), tmp_path).execute({}, FakePace())


@pytest.mark.parametrize("group", [True, False], ids=["Ctrl-C", "a supervisor"])
def test_a_step_that_is_stopped_stops_its_command_and_does_not_take_it_for_failed(
    tmp_path: Path, group: bool
) -> None:
    """Ctrl-C at a terminal reaches all processes of the step, a supervisor's SIGTERM only one."""
    mark = tmp_path / "began"
    part = command(tmp_path, f"import time; open({str(mark)!r}, 'w'); time.sleep(60)")
    step = subprocess.Popen(
        [sys.executable, "-c", RUN.format(program=part.command[-1], folder=str(tmp_path))],
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert wait_until(mark.exists, 20, RealPace())
        os.killpg(step.pid, signal.SIGINT) if group else step.terminate()
        said, _ = step.communicate(timeout=20)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(step.pid, signal.SIGKILL)
    assert said.strip() == f"stopped by {'SIGINT' if group else 'SIGTERM'}"


def test_what_is_to_be_run_when_undone_is_run_only_then_and_as_often_as_that(
    tmp_path: Path,
) -> None:
    write = "import os; open('made', 'a').write(os.environ['WORD'])"
    does, run = "forget old events", (sys.executable, "-c", write)
    part = RunWhenUndone(does, run, tmp_path, {"WORD": "yes"})
    part.execute(part.prepare(), FakePace())
    assert not (tmp_path / "made").exists()
    assert part.holds({})
    for _ in range(2):
        part.undo({}, FakePace())
    assert (tmp_path / "made").read_text() == "yesyes"
    assert part.name == does
    assert part.forward == "nothing yet: once this is undone, forget old events"
    assert part.back == f"forget old events: {' '.join(run)}"


def test_no_step_reports_as_done_what_its_undo_will_do(tmp_path: Path) -> None:
    part = RunWhenUndone("forget old events", (sys.executable, "-c", ""), tmp_path)
    step, told = Step("s", "S", (Stage("forget", part),)), Silent()
    for way in (Direction.EXECUTE, Direction.UNDO):
        with open_ledger(tmp_path / "ledger.jsonl", way) as ledger:
            Run(step, ledger, FakePace(), told, {}).to(way)
    assert [line for line in told.told if line.startswith("passed")] == [
        "passed once this is undone, forget old events",
        "passed undone: forget old events",
    ]


def test_an_undoing_whose_command_fails_stops_with_its_last_words(tmp_path: Path) -> None:
    program = "import sys; print('no broker'); sys.exit(1)"
    part = RunWhenUndone("forget old events", (sys.executable, "-c", program), tmp_path)
    with pytest.raises(PartFailed, match="forget old events: it ended with 1: no broker"):
        part.undo({}, FakePace())


def test_undoing_waits_until_nothing_is_left() -> None:
    left = ["3 events wait", "1 event waits"]
    pace = FakePace()
    FinishFirst("events", lambda: left.pop(0) if left else None).undo({}, pace)
    assert left == []
    assert pace.time > 0


def test_work_that_does_not_end_stops_the_undoing_with_what_is_left() -> None:
    part = FinishFirst("events", lambda: "2 events wait", within_s=5.0)
    part.execute(part.prepare(), FakePace())
    with pytest.raises(PartFailed, match="events are not finished within 5 s: 2 events wait"):
        part.undo({}, FakePace())


def test_work_that_nobody_does_any_more_is_done_by_a_helper_that_is_stopped_then(
    tmp_path: Path,
) -> None:
    work = tmp_path / "work"
    work.touch()
    program = f"import os, time; os.unlink({str(work)!r}); time.sleep(60)"
    helper = StartProcess("helper", (sys.executable, "-c", program), tmp_path, None, tmp_path)
    part = FinishFirst(
        "events", lambda: "1 waits" if work.exists() else None, helper=helper, alone_s=0.2
    )
    part.undo({}, RealPace())
    assert not work.exists()
    assert helper.pid() is None


def test_no_helper_is_started_for_work_that_is_done_and_one_of_a_killed_run_is_stopped(
    tmp_path: Path,
) -> None:
    command = (sys.executable, "-c", "import time; open('began', 'w'); time.sleep(60)")
    helper = StartProcess("helper", command, tmp_path, None, tmp_path)
    part = FinishFirst("events", lambda: None, helper=helper)
    part.undo({}, RealPace())
    assert not (tmp_path / "began").exists()
    helper.execute(helper.prepare(), RealPace())
    part.undo({}, RealPace())
    assert helper.pid() is None


def test_a_helper_that_cannot_help_is_told(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "print('BROKER_URL is not set')")
    helper = StartProcess("helper", command, tmp_path, None, tmp_path)
    part = FinishFirst("events", lambda: "1 waits", helper=helper, alone_s=0.2)
    with pytest.raises(PartFailed, match="the helper service ended: BROKER_URL is not set"):
        part.undo({}, RealPace())
