"""What the steps learn from commands of the services."""

from __future__ import annotations

import sys

from scripts import backlog


def asked(program: str, within_s: float = 30.0) -> str | None:
    command = (sys.executable, "-c", program)
    left = backlog.asked(command, lambda n: f"{n} wait" if n else None, within_s=within_s)
    return left()


def test_what_is_left_is_seen_in_what_a_command_tells() -> None:
    assert asked("print(3)") == "3 wait"
    assert asked("print(0)") is None


def test_a_command_that_fails_leaves_something_and_says_why() -> None:
    assert asked("import sys; sys.exit('no database')") == "no database"
    told = asked("import sys; sys.exit(1)")
    assert told is not None
    assert told.startswith("it is not told by ")


def test_a_command_that_hangs_leaves_something() -> None:
    told = asked("import time; time.sleep(60)", within_s=0.3)
    assert told is not None
    assert "timed out" in told


def test_a_command_that_cannot_be_run_leaves_something() -> None:
    told = backlog.asked(("no-such-command",), lambda _: None)()
    assert told is not None
    assert "no-such-command" in told
