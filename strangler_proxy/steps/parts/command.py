"""A command that is run to its end: when executed, as one that makes tables, or when undone.

A step that is asked to stop stops the command too: it is safe to repeat, and the next run does so.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from strangler_proxy.steps.step import Facts, Pace, PartFailed

LOOK_S = 0.1
STOPS_WITHIN_S = 10.0
_LAST_CHARS = 400


@dataclass(frozen=True)
class _Command:
    """What both parts are made of: `command`, which must be safe to repeat.

    `does` says for people what it does. `environment` is added to the step's own.
    """

    does: str
    command: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    within_s: float = 120.0
    family: str | None = None

    @property
    def name(self) -> str:
        """The part's name in the ledger."""
        return self.does

    @property
    def _in_words(self) -> str:
        return f"{self.does}: {' '.join(self.command)}"

    def prepare(self) -> Facts:
        """There is nothing to note."""
        return {}

    def holds(self, facts: Facts) -> bool:
        """What it made is not looked at."""
        return True

    def _run(self, pace: Pace) -> None:
        with tempfile.TemporaryFile() as output:
            try:
                child = subprocess.Popen(
                    self.command,
                    cwd=self.cwd,
                    env={**os.environ, **self.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
                code = _ended(child, self.within_s, pace)
            except (OSError, subprocess.TimeoutExpired) as fault:
                raise PartFailed(f"{self.does}: {fault}") from fault
            if code != 0:
                said = _last_words(output) or "it said nothing"
                raise PartFailed(f"{self.does}: it ended with {code}: {said}")


def _ended(child: subprocess.Popen[bytes], within_s: float, pace: Pace) -> int:
    """What it ended with. It is stopped where it is late, or the step is to stop.

    Raises TimeoutExpired, Interrupted.
    """
    try:
        return _waited(child, within_s, pace)
    finally:
        _stop(child)


def _waited(child: subprocess.Popen[bytes], within_s: float, pace: Pace) -> int:
    deadline = time.monotonic() + within_s
    while True:
        with suppress(subprocess.TimeoutExpired):
            code = child.wait(LOOK_S)
            pace.wait(0)  # Ctrl-C ends the command too: it has not failed by itself
            return code
        pace.wait(0)
        if time.monotonic() >= deadline:
            raise subprocess.TimeoutExpired(child.args, within_s)


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _last_words(output: IO[bytes]) -> str:
    output.seek(max(0, output.seek(0, os.SEEK_END) - 4 * _LAST_CHARS))
    return output.read().decode(errors="replace").strip()[-_LAST_CHARS:]


@dataclass(frozen=True)
class RunCommand(_Command):
    """Runs `command`, which must be safe to repeat. What it made stays, also when undone.

    `does` says for people what it does. `environment` is added to the step's own.
    """

    @property
    def forward(self) -> str:
        """What executing does, for the plan."""
        return self._in_words

    @property
    def back(self) -> str:
        """What undoing does, for the plan."""
        return "nothing: it does no harm there"

    def execute(self, facts: Facts, pace: Pace) -> None:
        """Run it to its end. Raises PartFailed with its last words, Interrupted."""
        self._run(pace)

    def undo(self, facts: Facts, pace: Pace) -> None:
        """Nothing."""


@dataclass(frozen=True)
class RunWhenUndone(_Command):
    """Does nothing, and undone runs `command`, which must be safe to repeat: it clears up.

    `does` and `environment` are as of `RunCommand`. Put it before the part that starts who is in
    the way, so that undoing comes here when that one has ended.
    """

    @property
    def forward(self) -> str:
        """What executing does, for the plan."""
        return f"nothing yet: {self.put_off}"

    @property
    def put_off(self) -> str:
        """What is told once it is executed."""
        return f"once this is undone, {self.does}"

    @property
    def back(self) -> str:
        """What undoing does, for the plan."""
        return self._in_words

    def execute(self, facts: Facts, pace: Pace) -> None:
        """Nothing."""

    def undo(self, facts: Facts, pace: Pace) -> None:
        """Run it to its end. Raises PartFailed with its last words, Interrupted."""
        self._run(pace)
