"""Tells people how the walk goes: a live panel on a terminal, plain lines anywhere else."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from scripts.walking.report import AFTER, BEFORE, REASON, SHOWN, Latency, Report

PLAIN_EVERY_S = 5.0


class Teller:
    """Shows the phases and the counts as they grow; use as a context."""

    def __init__(
        self, console: Console, counts: Callable[[], str], clock: Callable[[], float]
    ) -> None:
        self._console = console
        self._counts = counts
        self._clock = clock
        self._phase = ""
        self._note = ""
        self._began = clock()
        self._told_at = clock()
        self._done: list[str] = []
        self._live: Live | None = None
        self._spinner = Spinner("dots")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._panel, console=self._console, refresh_per_second=5
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.phase("")
        if self._live is not None:
            self._live.stop()

    def phase(self, text: str) -> None:
        """Begin a phase; the one before it is done."""
        now = self._clock()
        if self._phase:
            self._done.append(f"{self._phase} ({now - self._began:.1f} s)")
            if self._live is None:
                self._line(f"   {self._counts()}")
        self._phase, self._note, self._began = text, "", now
        if text and self._live is None:
            self._line(f"== {text}")

    def note(self, text: str) -> None:
        """Show the newest word about the phase; call it often, it keeps its own pace."""
        now = self._clock()
        if self._live is None and now - self._told_at >= PLAIN_EVERY_S:
            self._told_at = now
            self._line(f"   {self._counts()}{'; ' if text else ''}{text}")
        self._note = text

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _panel(self) -> Group:
        lines = [Text(f" ✓ {each}", style="green") for each in self._done]
        if not self._phase:
            return Group(*lines)
        seconds = self._clock() - self._began
        self._spinner.update(text=Text(f"{self._phase} ({seconds:.0f} s)"))
        note = Text(f"   {self._note}", style="dim", no_wrap=True, overflow="ellipsis")
        return Group(*lines, self._spinner, Text(f"   {self._counts()}"), note)


def tell(report: Report, console: Console) -> None:
    """Print the table, and on failure the first details and where to look."""
    console.print(_totals(report))
    console.print(_latencies(report))
    console.print(_reason(report), markup=False, highlight=False)
    for failure in report.failures[:SHOWN]:
        console.print(
            f"\nfailed: {failure.request} ({failure.phase}, request id {failure.request_id})\n"
            f"    {failure.problem}\n    answer: {failure.answer or '(none)'}",
            style="red",
            markup=False,
            highlight=False,
        )
    for finding in report.findings[:SHOWN]:
        text = f"\n{finding.kind}: {finding.what}, seen in: {finding.place}\n    {finding.detail}"
        console.print(text, style="red", markup=False, highlight=False)
    for step in report.steps:
        if step.exit_code:
            text = f"\n{step.arguments} ended with {step.exit_code}:\n{step.last_lines}"
            console.print(text, style="red", markup=False, highlight=False)
    if report.passed:
        console.print("\nEvery answer was right, and nothing was lost.", style="green")
    else:
        told = f"\nThe walk failed. Logs and data: {report.folder} (seed {report.seed})"
        console.print(told, style="bold red", markup=False, highlight=False, soft_wrap=True)


def _totals(report: Report) -> Table:
    table = Table(title="The walk", show_header=False)
    for name, value, bad in (
        ("requests", report.requests, False),
        ("failed requests", len(report.failures), True),
        ("acknowledged writes", sum(report.acknowledged.values()), False),
        ("lost writes", report.count("lost"), True),
        ("duplicates", report.count("duplicated"), True),
        ("duplicated charges", report.count("duplicated", "stripe"), True),
        ("wrong values", report.count("wrong"), True),
        ("unexpected rows", report.count("unexpected"), True),
    ):
        table.add_row(name, f"{value:,}", style="red" if bad and value else None)
    for step in report.steps:
        done = "done" if step.exit_code == 0 else f"exit {step.exit_code}"
        table.add_row(step.arguments, f"{done}, {step.seconds:.0f} s")
    for death in report.deaths:
        told = f"back in {death.back_s:.1f} s; {death.excused} of its own requests failed"
        table.add_row(f"{death.name} killed", told)
    return table


def _latencies(report: Report) -> Table:
    table = Table(title=f"Latency in ms, with {report.uploaders} clients uploading large pictures")
    table.add_column("request")
    for phase in (BEFORE, AFTER):
        for name in ("requests", "p50", "p99"):
            table.add_column(f"{name}\n{phase}", justify="right")
    for kind, phases in sorted(report.latency.items()):
        cells = [cell for phase in (BEFORE, AFTER) for cell in _cells(phases[phase])]
        table.add_row(kind, *cells)
    return table


def _cells(latency: Latency) -> tuple[str, str, str]:
    return f"{latency.requests:,}", _shown(latency.p50_ms), _shown(latency.p99_ms)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def _reason(report: Report) -> str:
    found = report.latency.get(REASON, {})
    p99 = [each.p99_ms for each in found.values() if each.p99_ms is not None]
    if len(p99) != 2:
        return "GET /posts was not measured on both sides of the step."
    before, after = p99
    told = (
        f"The reason for the step: p99 of GET /posts while {report.uploaders} clients upload large"
        f" pictures was {before:,.0f} ms before and is {after:,.0f} ms after"
    )
    if after < before:
        return f"{told}, {before / after:.1f} times less."
    return f"{told}: no better on this machine."
