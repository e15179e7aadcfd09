"""A seam of the old application, switched by the small JSON file that its workers watch."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strangler_proxy.shared_files import folder_locked, replace_text
from strangler_proxy.steps.pace import wait_until
from strangler_proxy.steps.step import Facts, Pace, PartFailed

Report = Callable[[], str | None]
"""Asks the application how the seam stands; None when it does not say."""


@dataclass(frozen=True)
class SwitchSeam:
    """Sets one key of a JSON file, and waits until the application reports it.

    `report` is asked until it says so `times` times in a row, since each of the application's
    workers reads the file by itself. Other keys of the file stay as they are.
    """

    seam: str
    to: str
    file: Path
    report: Report
    default: str = "local"
    times: int = 3
    within_s: float = 10.0
    family: str | None = None

    @property
    def name(self) -> str:
        """The part's name in the ledger."""
        return f"switch {self.seam} seam to {self.to}"

    @property
    def forward(self) -> str:
        """What executing does, for the plan."""
        return f"switch the {self.seam} seam of the application to {self.to} ({self.file})"

    @property
    def back(self) -> str:
        """What undoing does, for the plan."""
        return f"switch the {self.seam} seam back to what it was"

    def prepare(self) -> Facts:
        """Note how the seam stands in the file; null if the file does not say."""
        return {"before": self._read().get(self.seam)}

    def execute(self, facts: Facts, pace: Pace) -> None:
        """Write the file, and wait for the application to follow."""
        self._write(self.to)
        self._verify(self.to, pace)

    def undo(self, facts: Facts, pace: Pace) -> None:
        """Write what was there, and wait for the application to follow, if it runs at all.

        One that says nothing for `within_s` is taken for one that does not run.
        """
        before = facts["before"]
        self._write(before)
        self._verify(before or self.default, pace, may_be_away=True)

    def holds(self, facts: Facts) -> bool:
        """Whether the file still says so."""
        return bool(self._read().get(self.seam) == self.to)

    def _verify(self, wanted: str, pace: Pace, *, may_be_away: bool = False) -> None:
        in_row, said, away = 0, None, may_be_away

        def confirmed() -> bool:
            nonlocal in_row, said, away
            said = self.report()
            away = away and said is None
            in_row = in_row + 1 if said == wanted else 0
            return in_row >= self.times

        if not wait_until(confirmed, self.within_s, pace) and not away:
            raise PartFailed(
                f"{self.file} says {self.seam}: {wanted}, but the application reports {said!r} "
                f"after {self.within_s:g} s; is SEAMS_FILE the same file for both?"
            )

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.file.read_bytes() or b"{}")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as fault:
            raise PartFailed(f"the seams file {self.file} cannot be read: {fault}") from fault
        if not isinstance(content, dict):
            raise PartFailed(f"the seams file {self.file} must hold a JSON object")
        return content

    def _write(self, value: str | None) -> None:
        try:
            with folder_locked(self.file.parent):
                content = self._read()
                if content.get(self.seam) == value:
                    return
                content.pop(self.seam, None)
                if value is not None:
                    content[self.seam] = value
                replace_text(self.file, json.dumps(content) + "\n")
        except OSError as fault:
            raise PartFailed(f"the seams file {self.file} cannot be written: {fault}") from fault
