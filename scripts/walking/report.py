"""What a walk has shown, as values: pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scripts.walking.audit import Finding
from scripts.walking.figures import Failure, Figures, percentile
from scripts.walking.journal import Journal
from scripts.walking.killing import Death

BEFORE, AFTER = "before", "after"
REASON = "posts-list"  # the request for whose sake image leaves the monolith
SHOWN = 10
KINDS = ("user", "post", "comment", "image", "payment")


@dataclass(frozen=True, slots=True)
class Latency:
    """Requests of one kind in one phase, and how long the median and the slowest percent took."""

    requests: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class StepRun:
    """One run of the step script."""

    arguments: str
    exit_code: int
    seconds: float
    last_lines: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is told at the end."""

    seed: int
    requests: int
    failures: list[Failure]
    findings: list[Finding]
    acknowledged: dict[str, int]
    steps: list[StepRun]
    deaths: list[Death]
    latency: dict[str, dict[str, Latency]]
    uploaders: int
    folder: str

    @property
    def passed(self) -> bool:
        """Whether every answer was right, nothing was lost, and every step was done."""
        done = bool(self.steps) and all(step.exit_code == 0 for step in self.steps)
        return done and self.requests > 0 and not self.failures and not self.findings

    def count(self, kind: str, place: str | None = None) -> int:
        """How many findings there are of a kind, in one place or in all."""
        return sum(each.kind == kind and place in (None, each.place) for each in self.findings)


def latency(figures: Figures, phase: str, kind: str | None) -> Latency:
    """Return the latencies of a kind in a phase; None stands for every kind."""
    found = figures.latencies_s(phase, kind)
    p50, p99 = percentile(found, 50), percentile(found, 99)
    return Latency(len(found), _ms(p50), _ms(p99))


def build(
    figures: Figures,
    journal: Journal,
    findings: Sequence[Finding],
    steps: Sequence[StepRun],
    deaths: Sequence[Death] = (),
    *,
    seed: int,
    uploaders: int,
    folder: str,
) -> Report:
    """Put the figures together."""
    changes = {
        kind: sum(
            change.acknowledged_at is not None
            for row in journal.rows(kind)
            for change in row.changes
        )
        for kind in KINDS
    }
    by_kind = {
        kind: {phase: latency(figures, phase, kind) for phase in (BEFORE, AFTER)}
        for kind in figures.kinds()
    }
    return Report(
        seed,
        figures.requests,
        figures.failures,
        list(findings),
        changes,
        list(steps),
        list(deaths),
        {kind: phases for kind, phases in by_kind.items() if any(_counted(phases))},
        uploaders,
        folder,
    )


def as_json(report: Report) -> dict[str, Any]:
    """Return the report for a file, with its verdict and its counts spelled out."""
    reason = report.latency.get(REASON, {})
    kinds = Counter(finding.kind for finding in report.findings)
    return {
        "passed": report.passed,
        "lost_writes": kinds["lost"],
        "duplicates": kinds["duplicated"],
        "duplicated_charges": report.count("duplicated", "stripe"),
        "wrong": kinds["wrong"],
        "unexpected": kinds["unexpected"],
        "failure_count": len(report.failures),
        "posts_list_p99_ms_while_uploading": {
            phase: found.p99_ms for phase, found in reason.items()
        },
        **asdict(report),
    }


def _counted(phases: dict[str, Latency]) -> list[int]:
    return [each.requests for each in phases.values()]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)
