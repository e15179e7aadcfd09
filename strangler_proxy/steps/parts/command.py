"""A command that is run to its end, such as the one that makes a service's tables."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from strangler_proxy.steps.step import Facts, Pace, PartFailed

_LAST_CHARS = 400


@dataclass(frozen=True)
class RunCommand:
    """Runs `command`, which must be safe to repeat. What it made stays, also when undone.

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
    def forward(self) -> str:
        """What executing does, for the plan."""
        return f"{self.does}: {' '.join(self.command)}"

    @property
    def back(self) -> str:
        """What undoing does, for the plan."""
        return "nothing: it does no harm there"

    def prepare(self) -> Facts:
        """There is nothing to note."""
        return {}

    def execute(self, facts: Facts, pace: Pace) -> None:
        """Run it to its end."""
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

    def undo(self, facts: Facts, pace: Pace) -> None:
        """Nothing."""

    def holds(self, facts: Facts) -> bool:
        """What it made is not looked at."""
        return True
