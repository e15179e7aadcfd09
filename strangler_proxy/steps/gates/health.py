"""A service that says it is well, several times in a row."""

from collections.abc import Callable
from dataclasses import dataclass, field

from strangler_proxy.steps.step import Evidence, Pace, Verdict

Checkup = Callable[[], str | None]
"""Asks a service once: None if it is well, otherwise what is wrong."""


def judge_health(answers: list[str | None], times: int) -> Evidence:
    """Passed once the last `times` answers were all well; inconclusive until then."""
    in_row = next((i for i, wrong in enumerate(reversed(answers)) if wrong), len(answers))
    numbers = {"in_row": in_row, "asked": len(answers)}
    if in_row >= times:
        return Evidence(Verdict.PASSED, f"well {in_row} times in a row", numbers)
    wrong = next((wrong for wrong in reversed(answers) if wrong), None)
    text = f"well {in_row} of {times} times in a row" + (f"; before: {wrong}" if wrong else "")
    return Evidence(Verdict.INCONCLUSIVE, text, numbers)


@dataclass(frozen=True)
class Health:
    """Passes after `times` good answers in a row; fails if that takes longer than `within_s`."""

    url: str
    ask: Checkup
    times: int = 3
    within_s: float = 30.0
    interval_s: float = 0.2
    name: str = "health"

    @property
    def criteria(self) -> str:
        """What it takes to pass, for the plan."""
        return f"{self.url} answers well {self.times} times in a row within {self.within_s:g} s"

    @property
    def patience_s(self) -> float:
        """The trial ends itself: a service that is not well in time has failed."""
        return self.within_s + 60

    def begin(self, pace: Pace) -> "_Asking":
        """Start asking, knowing of no answer."""
        return _Asking(self, pace, pace.now() + self.within_s)


@dataclass
class _Asking:
    health: Health
    pace: Pace
    deadline: float
    answers: list[str | None] = field(default_factory=list)

    def look(self) -> Evidence:
        """Ask once more, and judge all answers."""
        self.answers.append(self.health.ask())
        evidence = judge_health(self.answers, self.health.times)
        if evidence.verdict is Verdict.INCONCLUSIVE and self.pace.now() >= self.deadline:
            late = f"{evidence.text}; not well within {self.health.within_s:g} s"
            return Evidence(Verdict.FAILED, late, evidence.numbers)
        return evidence
