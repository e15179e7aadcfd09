"""Killed at any record of the ledger, the step is completed or undone by the next run."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback

import pytest

from strangler_proxy.steps.ledger import read_ledger
from strangler_proxy.steps.pace import RealPace
from tests.integration.steps import killable

BEFORE = {"well": False, "table": {"image": 0, "upload": 10, "login": 0}, "seam": None}
AFTER = {"well": True, "table": {"image": 100, "upload": 100, "login": 0}, "seam": "remote"}


def in_a_process_of_its_own(act):
    """(wait status, output) of a forked process: a hundred new interpreters would take minutes."""
    with tempfile.TemporaryFile() as output:
        pid = os.fork()
        if pid == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            try:
                act()
            except BaseException:  # noqa: BLE001 - a fork must never return into pytest
                os.write(2, traceback.format_exc().encode())
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        output.seek(0)
        return status, output.read().decode()


class Steps:
    """Runs of the killable step in one folder."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port
        (folder / "table.json").write_text(json.dumps(BEFORE["table"]))

    def command(self, direction, point=0, moment="after", verdict="passed"):
        arguments = map(str, (self.folder, self.port, direction, point, moment, verdict))
        return [sys.executable, killable.__file__, *arguments]

    def run(self, direction, point=0, moment="after", verdict="passed"):
        """The world at the end, or None if the run was killed."""
        arguments = (str(self.folder), str(self.port), direction, str(point), moment, verdict)
        status, said = in_a_process_of_its_own(lambda: killable.main(*arguments))
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            return None
        assert status == 0, said
        return json.loads(said.splitlines()[-1])

    def forget(self):
        (self.folder / "ledger.jsonl").unlink(missing_ok=True)


@pytest.fixture
def steps(tmp_path, port):
    yield Steps(tmp_path, port)
    step, _ = killable.declare(tmp_path, port, "passed")
    service = next(step.parts)
    service.undo({}, RealPace())


def ended(world, ending, expected):
    assert world == {"ending": ending, "text": world["text"], **expected}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("moment", ["before", "after", "torn"])
@pytest.mark.parametrize("then", ["execute", "undo"])
def test_an_execute_killed_at_any_record_is_completed_or_undone_by_the_next_run(
    steps, moment, then
):
    point = 1
    while steps.run("execute", point, moment) is None:
        if then == "execute":
            ended(steps.run("execute"), "DONE", AFTER)
        ended(steps.run("undo"), "DONE", BEFORE)
        steps.forget()
        point += 1
    assert point > 12  # every record of a whole run was a point


@pytest.mark.timeout(300)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("then", ["execute", "undo"])
def test_an_undo_killed_at_any_record_is_completed_and_the_step_can_begin_again(
    steps, moment, then
):
    ended(steps.run("execute"), "DONE", AFTER)
    point = 1
    while steps.run("undo", point, moment) is None:
        if then == "undo":
            ended(steps.run("undo"), "DONE", BEFORE)
        ended(steps.run("execute"), "DONE", AFTER)
        point += 1
    assert point > 8


@pytest.mark.timeout(300)
def test_a_fall_back_killed_at_any_record_is_completed_by_the_same_command(steps):
    point = 1
    while steps.run("execute", point, "after", "failed") is None:
        ended(steps.run("execute", verdict="failed"), "FELL_BACK", BEFORE)
        point += 1
    assert point > 18


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_run_cleanly_and_the_next_goes_on_or_back(steps, number):
    command = steps.command("execute", verdict="inconclusive")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout.readline() == "looking\n"
        assert steps_locked(steps)
        os.kill(run.pid, number)
        world = json.loads(run.communicate(timeout=30)[0].splitlines()[-1])
    assert run.returncode == 0
    ended(world, "STOPPED", AFTER)
    assert world["text"] == f"stopped by {number.name}"
    assert read_ledger(steps.folder / "ledger.jsonl")[-1]["kind"] == "stopped"
    ended(steps.run("execute"), "DONE", AFTER)
    ended(steps.run("undo"), "DONE", BEFORE)


def steps_locked(steps):
    """Whether a second run is refused while the first is at work."""
    command = steps.command("undo")
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return second.returncode != 0 and "LedgerLocked" in second.stderr
