"""A run as people follow it: a live line on a terminal, plain lines anywhere else."""

from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from strangler_proxy.steps.step import Evidence, Verdict

MARKS = {
    Verdict.PASSED: ("green", "ok"),
    Verdict.FAILED: ("red", "FAILED"),
    Verdict.INCONCLUSIVE: ("yellow", "inconclusive"),
}


@dataclass
class Narrator:
    """Tells what the engine does. Evidence counts up in place on a terminal; elsewhere it is told
    every `quiet_s` seconds of `clock`, and ever more seldom the longer a gate takes, down to every
    `most_quiet_s`, so that a log stays readable.
    """

    console: Console
    clock: Callable[[], float]
    quiet_s: float = 5.0
    most_quiet_s: float = 1800.0
    _status: Status | None = field(default=None, init=False)
    _told_at: float = field(default=float("-inf"), init=False)
    _since: float = field(default=float("-inf"), init=False)
    _gate: str = field(default="", init=False)

    def acting(self, text: str) -> None:
        """A part begins."""
        self._show(text)
        if not self.console.is_terminal:
            self._line(f"... {escape(text)}")

    def looking(self, gate: str, evidence: Evidence) -> None:
        """A gate has looked once more."""
        if gate != self._gate:
            self._gate, self._since = gate, self.clock()
        if self.console.is_terminal:
            self._show(f"{gate}: {evidence.text}")
        elif self.clock() - self._told_at >= self._pause_s():
            self._line(f"  . {escape(f'{gate}: {evidence.text}')}")

    def result(self, text: str, verdict: Verdict) -> None:
        """A part or a gate has ended."""
        self.quiet()
        colour, mark = MARKS[verdict]
        self._line(f"[{colour}]{mark:>4}[/] {escape(text)}")

    def left(self, text: str) -> None:
        """Something is left for a person to look at."""
        self.quiet()
        self._line(f"[yellow]note[/] {escape(text)}")

    def _pause_s(self) -> float:
        return min(self.most_quiet_s, max(self.quiet_s, (self.clock() - self._since) / 12))

    def quiet(self) -> None:
        """Take the live line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _show(self, text: str) -> None:
        if not self.console.is_terminal:
            return
        if self._status is None:
            self._status = self.console.status("")
            self._status.start()
        self._status.update(escape(text))

    def _line(self, markup: str) -> None:
        self._told_at = self.clock()
        self.console.print(markup, highlight=False, soft_wrap=True)
