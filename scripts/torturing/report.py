"""What a torture has shown, as values and as a table. Reads no clock."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.torturing.checker import Violation
from scripts.torturing.failures import Failure, failure
from scripts.torturing.history import Kind, Operation, Outcome

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is told at the end. `hold_ms` is of cut-overs that were done."""

    seed: int
    source: str
    target: str
    folder: str
    seconds: float
    cut_overs: int
    undone: int
    run_out: int
    resumed: int
    deaths: Mapping[str, int]
    operations: Mapping[str, int]
    failures: Mapping[str, int]
    hold_ms: Mapping[str, float]
    longest_without_write_s: float
    reasons: Mapping[str, int]
    faults: Mapping[str, int]
    violations: Sequence[Violation] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether nothing was seen that must not be."""
        return self.cut_overs > 0 and not self.violations


def counted(operations: Sequence[Operation]) -> dict[str, int]:
    """How many operations of each kind of client ended how."""
    who = Counter((each.client.startswith("bypass"), each.outcome) for each in operations)
    names = {True: "past the proxy", False: "through the proxy"}
    return {f"{names[bypassing]}, {how}": who[bypassing, how] for bypassing, how in sorted(who)}


def failed(operations: Sequence[Operation]) -> dict[str, int]:
    """What clients of the proxy were told of that had not ended well."""
    told = Counter(
        failure(each)
        for each in operations
        if each.outcome != Outcome.OK and not each.client.startswith("bypass")
    )
    return {str(kind): told[kind] for kind in Failure if told[kind]}


def hold_figures(outcomes: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Median, 99th percentile and the longest, in milliseconds."""
    holds = sorted(
        each["hold_s"] * 1000 for each in outcomes if each.get("done") and each.get("hold_s")
    )
    if not holds:
        return {}
    nearest = holds[min(len(holds) - 1, round(0.99 * len(holds)))]
    return {
        "median": round(statistics.median(holds), 1),
        "p99": round(nearest, 1),
        "longest": round(holds[-1], 1),
    }


def longest_without_write_s(operations: Sequence[Operation]) -> float:
    """The longest time in which no write through the proxy was acknowledged."""
    ends = sorted(
        each.ended
        for each in operations
        if each.outcome == Outcome.OK
        and each.kind != Kind.READ
        and not each.client.startswith("bypass")
    )
    return round(max((later - earlier for earlier, later in pairwise(ends)), default=0.0), 2)


def as_json(report: Report) -> dict[str, Any]:
    """The same for programs."""
    return {"passed": report.passed, **asdict(report)}


def tell(report: Report, console: Console) -> None:
    """The same for people."""
    table = Table(show_header=False, title=f"{report.source} to {report.target} and back")
    table.add_row("cut-overs done", f"{report.cut_overs}")
    table.add_row("undone", f"{report.undone}")
    table.add_row("longer than their hold", f"{report.run_out}")
    table.add_row("taken up after a kill", f"{report.resumed}")
    for group in (report.deaths, report.operations, report.failures):
        table.add_section()
        for name, number in group.items():
            table.add_row(name, f"{number:,}")
    table.add_section()
    for name, milliseconds in report.hold_ms.items():
        table.add_row(f"hold, {name}", f"{milliseconds:,.0f} ms")
    table.add_row("longest without a write", f"{report.longest_without_write_s:.2f} s")
    table.add_row("lasted", f"{report.seconds:.0f} s, seed {report.seed}")
    console.print(table)
    for violation in report.violations[:SHOWN]:
        console.print(f"violation: {violation.sentence}", style="red", markup=False)
    if len(report.violations) > SHOWN:
        console.print(f"and {len(report.violations) - SHOWN} more", style="red")
    if report.cut_overs == 0:
        console.print("no cut-over was done, so nothing was shown", style="red")


def tell_history(operations: Sequence[Operation], words: Sequence[str], console: Console) -> None:
    """All that was done to these words."""
    for word in words:
        console.print(f"history of {word}:", markup=False)
        for each in operations:
            if each.word == word:
                console.print(
                    f"  {each.began:.4f} to {each.ended:.4f} {each.kind} {each.value} "
                    f"({each.mark}): {each.outcome} {each.told}",
                    markup=False,
                    soft_wrap=True,
                )
