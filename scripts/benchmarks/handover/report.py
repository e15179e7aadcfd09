"""Shows a run as tables, on a terminal and as Markdown. What was not measured is named."""

from rich.console import Console
from rich.table import Table

from scripts.benchmarks import markdown
from scripts.benchmarks.figures import ratio
from scripts.benchmarks.handover.result import CopyResult, HandoverResult
from scripts.benchmarks.report import spread_text, times_text

_HEAD = (
    "copy",
    "by",
    "s (min-max)",
    "rows/s",
    "x strangler",
    "its CPU s",
    "peak MB",
    "peak MB, a tenth of the rows",
)
_STYLES = {"met": "green", "missed": "bold red", "unjudged": "yellow", "not asked": "dim"}
_ORIGINS = {"postgresql": "PostgreSQL to PostgreSQL", "sqlite": "SQLite to PostgreSQL"}
_OURS = {"postgresql": "strangler", "sqlite": "strangler-sqlite"}


def show(result: HandoverResult, console: Console) -> None:
    """Print the circumstances, the copies, what is missing, and the targets."""
    console.print(f"\n{_circumstances(result)}", markup=False)
    table = Table(title=f"\nThe first copy of {result.rows:,} posts")
    for heading in _HEAD:
        table.add_column(heading, justify="left" if heading in ("copy", "by") else "right")
    for one in result.results:
        table.add_row(*_row(result, one))
    console.print(table)
    for one in result.results:
        for reason in filter(None, [one.absent, *one.faults]):
            console.print(f"{one.contender.name}: {reason}", style="yellow", markup=False)
    verdicts = Table(title="\nTargets")
    for heading in ("target", "verdict", "figures"):
        verdicts.add_column(heading)
    for each in result.judgements():
        verdicts.add_row(each.target, f"[{_STYLES[each.verdict]}]{each.verdict}[/]", each.detail)
    console.print(verdicts)


def render(result: HandoverResult) -> str:
    """The same as Markdown."""
    return "\n\n".join(
        [
            _circumstances(result),
            markdown.table(
                f"| {' | '.join(_HEAD)} |", (_row(result, one) for one in result.results)
            ),
            markdown.table(
                "| target | verdict | figures |",
                ([each.target, each.verdict, each.detail] for each in result.judgements()),
            ),
        ]
    )


def _circumstances(result: HandoverResult) -> str:
    about = result.machine
    versions = sorted({one.version for one in result.results if one.version})
    return (
        f"{result.started_at[:10]}; {about.cpu}, {about.cores} cores, {about.kernel}; load average "
        f"before: {about.load_before}; {result.server}; {'; '.join(versions)}; {result.rounds} "
        "rounds."
    )


def _row(result: HandoverResult, one: CopyResult) -> list[str]:
    names = [_ORIGINS[one.contender.origin], one.contender.title]
    seconds = one.seconds()
    if seconds is None:
        return [*names, "missing" if one.absent else "failed", *["-"] * 5]
    ours = next(
        (each for each in result.results if each.contender.name == _OURS[one.contender.origin]),
        None,
    )
    reference = ours.seconds() if ours else None
    peak = one.peak_bytes() or 0
    return [
        *names,
        spread_text(seconds, 1),
        f"{result.rows / seconds.median:,.0f}",
        times_text(ratio(seconds.median, reference.median if reference else None)),
        f"{sum(copy.cpu_s for copy in one.copies) / len(one.copies):.1f}",
        f"{peak / 1e6:.0f}",
        f"{one.tenth.peak_bytes / 1e6:.0f}" if one.tenth else "-",
    ]
