"""A command that is run to its end: when executed, as one that makes tables, or when undone."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from strangler_proxy.steps.step import Facts, Pace, PartFailed

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

    def _run(self) -> None:
        try:
            ended = subprocess.run(
                self.command,
                cwd=self.cwd,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=self.within_s,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise PartFailed(f"{self.does}: {fault}") from fault
        if ended.returncode != 0:
            said = ended.stdout.strip()[-_LAST_CHARS:] or "it said nothing"
            raise PartFailed(f"{self.does}: it ended with {ended.returncode}: {said}")


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
        """Run it to its end."""
        self._run()

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
        return f"nothing yet: once this is undone, {self.does}"

    @property
    def back(self) -> str:
        """What undoing does, for the plan."""
        return self._in_words

    def execute(self, facts: Facts, pace: Pace) -> None:
        """Nothing."""

    def undo(self, facts: Facts, pace: Pace) -> None:
        """Run it to its end. Raises PartFailed with its last words."""
        self._run()
