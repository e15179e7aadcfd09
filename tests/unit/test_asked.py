"""What the steps learn from commands of the services."""

from __future__ import annotations

import sys

import pytest

from scripts import moving


def asked(program: str) -> str | None:
    return moving.asked(
        (sys.executable, "-c", program), lambda told: f"{told} wait" if told else None
    )()


def test_what_is_left_is_seen_in_what_a_command_tells() -> None:
    assert asked("print(3)") == "3 wait"
    assert asked("print(0)") is None


def test_a_command_that_fails_leaves_something_and_says_why() -> None:
    assert asked("import sys; sys.exit('no database')") == "no database"
    told = asked("import sys; sys.exit(1)")
    assert told is not None
    assert told.startswith("it is not told by ")


def test_a_command_that_hangs_leaves_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "LOOK_S", 0.3)
    told = asked("import time; time.sleep(60)")
    assert told is not None
    assert "timed out" in told


def test_a_command_that_cannot_be_run_leaves_something() -> None:
    told = moving.asked(("no-such-command",), lambda _: None)()
    assert told is not None
    assert "no-such-command" in told
