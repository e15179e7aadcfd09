"""A service as a detached process: started once, found again, stopped for good."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from strangler_proxy.steps import PartFailed
from strangler_proxy.steps.ledger import open_ledger
from strangler_proxy.steps.pace import wait_until
from strangler_proxy.steps.parts import launch
from strangler_proxy.steps.parts.launch import start_time


def test_the_service_is_well_when_execute_returns_and_gone_when_undo_returns(part, pace):
    small = part()
    facts = small.prepare()
    small.execute(facts, pace)
    pid = small.pid()
    assert small.health() is None
    assert small.holds(facts)
    assert os.getsid(pid) == pid  # of a session of its own: no terminal can end it
    small.undo(facts, pace)
    assert start_time(pid) is None
    assert small.health() is not None
    assert not small.holds(facts)


def test_executing_again_keeps_the_service_that_runs(part, pace):
    small = part()
    facts = small.prepare()
    small.execute(facts, pace)
    pid = small.pid()
    part().execute(facts, pace)  # as another process would
    assert small.pid() == pid


def test_undoing_what_was_never_started_is_no_fault(part, pace):
    small = part()
    small.undo(small.prepare(), pace)
    small.undo(small.prepare(), pace)


def test_a_service_that_ignores_sigterm_is_killed_when_its_time_is_over(part, pace):
    small = part("--stubborn", stop_within_s=0.3)
    small.execute(small.prepare(), pace)
    pid = small.pid()
    small.undo({}, pace)
    assert start_time(pid) is None


def test_a_service_that_died_no_longer_holds_and_is_started_again(part, pace):
    small = part()
    facts = small.prepare()
    small.execute(facts, pace)
    os.kill(small.pid(), signal.SIGKILL)
    assert wait_until(lambda: not small.holds(facts), 10, pace)
    small.execute(facts, pace)
    assert small.holds(facts)


def test_a_pid_used_again_by_another_process_is_not_taken_for_the_service(part, pace, tmp_path):
    small = part()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "small.pid").write_text(f"{os.getpid()} 1\n")
    assert small.pid() is None
    small.undo({}, pace)  # and this process lives on


def test_a_service_that_ends_at_once_fails_with_its_last_words_and_where_the_log_is(part, pace):
    small = part(command=("sh", "-c", "echo no database; exit 3"))
    with pytest.raises(PartFailed, match=r"ended: no database \(all of it: .*small\.log\)"):
        small.execute(small.prepare(), pace)


def test_a_command_that_does_not_exist_is_named(part, pace):
    small = part(command=("no-such-command",))
    with pytest.raises(PartFailed, match="no-such-command cannot be started: No such file"):
        small.execute(small.prepare(), pace)


def test_a_service_that_never_gets_well_fails_within_its_time(part, pace):
    small = part(command=("sleep", "60"), healthy_within_s=0.3)
    with pytest.raises(PartFailed, match="running but not well"):
        small.execute(small.prepare(), pace)


def test_a_service_of_somebody_elses_at_the_address_is_not_taken_over(part, pace, tmp_path):
    elsewhere = part()
    elsewhere.execute({}, pace)
    mine = part()
    mine = type(mine)(**{**vars(mine), "run_dir": tmp_path / "other"})
    with pytest.raises(PartFailed, match="this step did not start"):
        mine.prepare()


def test_a_detached_service_does_not_keep_the_ledger_locked(part, pace, tmp_path):
    small = part()
    with open_ledger(tmp_path / "ledger.jsonl", "execute"):
        small.execute(small.prepare(), pace)
    with open_ledger(tmp_path / "ledger.jsonl", "undo"):
        assert small.holds({})


def test_a_detached_service_does_not_keep_its_starters_sockets(part, pace):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        part().execute({}, pace)
    with socket.create_server(address):  # would be in use if the service held it
        pass


def test_a_service_is_not_told_what_is_withheld_from_it(part, pace, monkeypatch):
    monkeypatch.setenv("STRIPE_API_KEY", "sk_test_1")
    monkeypatch.setenv("S3_BUCKET", "pictures")
    worker = part()
    worker = type(worker)(**{**vars(worker), "withheld": frozenset({"STRIPE_API_KEY"})})
    worker.execute(worker.prepare(), pace)
    told = Path(f"/proc/{worker.pid()}/environ").read_text().split("\0")
    assert "S3_BUCKET=pictures" in told
    assert not [each for each in told if each.startswith("STRIPE_API_KEY=")]


def test_a_worker_without_an_address_is_well_while_it_lives_and_may_stay(part, pace, tmp_path):
    worker = part(command=("sleep", "60"))
    worker = type(worker)(**{**vars(worker), "health": None, "stays": True})
    facts = worker.prepare()
    worker.execute(facts, pace)
    assert worker.holds(facts)
    worker.undo(facts, pace)
    assert worker.holds(facts)
    type(worker)(**{**vars(worker), "stays": False}).undo(facts, pace)
    assert not worker.holds(facts)
    dying = type(worker)(**{**vars(worker), "command": ("false",)})
    with pytest.raises(PartFailed, match="ended"):
        dying.execute({}, pace)


def crashed(part, pace, command):
    """A service that has died and left a child; the child's pid."""
    dead = part(command=("sh", "-c", f"{command} & echo $! > child; sleep 0.3"))
    dead = type(dead)(**{**vars(dead), "health": None})
    with suppress(PartFailed):
        dead.execute({}, pace)
    assert wait_until(lambda: dead.pid() is None, 200, pace)
    return int((dead.cwd / "child").read_text())


def test_what_a_crashed_service_left_behind_is_ended_by_the_undo(part, hurried):
    child = crashed(part, hurried, "sleep 60")
    part().stop(hurried)
    assert start_time(child) is None


def test_what_a_crashed_service_left_behind_is_ended_before_a_new_one_starts(part, hurried, pace):
    child = crashed(part, hurried, "trap '' TERM; sleep 60")
    small = part()
    facts = small.prepare()
    patient = type(small)(**{**vars(small), "healthy_within_s": 30.0 * hurried.HASTE})
    patient.execute(facts, hurried)
    assert start_time(child) is None
    small.undo(facts, pace)  # it was not the new one that ran before
    assert small.pid() is None


def test_a_child_that_has_left_the_service_is_named_and_never_killed(part, hurried):
    child = crashed(part, hurried, "exec setsid sleep 60")
    try:
        with pytest.raises(PartFailed, match=rf"pid {child} has .*small\.lock still; end that"):
            part().stop(hurried)
        assert start_time(child) is not None
    finally:
        os.kill(child, signal.SIGKILL)


def test_whoever_asks_whether_it_runs_does_not_keep_it_from_being_started(part, pace):
    small = part()
    small.run_dir.mkdir()
    asking = os.open(small.run_dir / "small.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(asking, fcntl.LOCK_SH)
    threading.Timer(0.2, os.close, [asking]).start()
    launcher = [sys.executable, "-P", launch.__file__]
    paths = [str(small.run_dir / f"small.{kind}") for kind in ("lock", "pid", "log")]
    assert subprocess.run([*launcher, *paths, "--", *small.command], timeout=20).returncode == 0
    assert wait_until(lambda: small.health() is None, 20, pace)


def test_a_second_launch_is_refused_while_the_service_runs(part, pace):
    small = part()
    small.execute({}, pace)
    launcher = [sys.executable, "-P", launch.__file__]
    paths = [str(small.run_dir / f"small.{kind}") for kind in ("lock", "pid", "log")]
    again = subprocess.run([*launcher, *paths, "--", "true"], timeout=20)
    assert again.returncode == launch.ALREADY_RUNNING
