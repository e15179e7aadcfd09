"""Shows a run as tables. What was not measured is named, with its reason, never left out."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scripts.benchmarks.figures import Summary, ratio
from scripts.benchmarks.gateway.result import GatewayResult
from scripts.benchmarks.report import (
    absence,
    show_faults,
    show_machine,
    show_noise,
    spread_text,
    targets_table,
    times_text,
)
from scripts.benchmarks.result import PeerResult
from scripts.benchmarks.targets import STRANGLER

HEADINGS = (
    "CPU µs/request\n(min-max)",
    "over its\nplain, µs",
    "x strangler",
    "requests/s\n(min-max)",
    "p50 ms",
    "p99 ms",
    "core used",
    "memory MB",
    "errors",
)


def show(result: GatewayResult, console: Console) -> None:
    """Print the machine, the duties with their costs, what is missing, and the targets."""
    show_machine(result, console)
    console.print(_duties_table(result))
    show_faults(result, console)
    show_noise((summary for _, _, summary in result.rows()), console)
    console.print(targets_table(result))


def _duties_table(result: GatewayResult) -> Table:
    table = Table(title="\nWhat each duty costs, 32 connections")
    table.add_column("duty")
    table.add_column("peer")
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    previous = None
    for duty, one, summary in result.rows():
        if previous not in (None, duty):
            table.add_section()
        title = result.titles[duty] if duty != previous else ""
        previous = duty
        if summary is None:
            table.add_row(title, one.peer.title, Text(absence(one), style="yellow"))
        else:
            table.add_row(title, one.peer.title, *_cells(result, duty, one, summary))
    return table


def _cells(result: GatewayResult, duty: str, one: PeerResult, summary: Summary) -> list[str | Text]:
    cpu = summary.cpu_us_per_request
    ours = result.of(STRANGLER)
    return [
        spread_text(cpu, 1 if cpu.median < 1000 else 0),
        own_cost_text(result, duty, one),
        times_text(ratio(cpu.median, ours.cpu_us(duty) if ours else None)),
        spread_text(summary.requests_per_s, 0),
        f"{summary.p50_us.median / 1e3:.2f}",
        f"{summary.p99_us.median / 1e3:.2f}",
        f"{summary.core_busy.median:.0%}",
        f"{summary.pss_bytes.median / 1e6:.0f}",
        Text(str(summary.errors), style="bold red" if summary.errors else "green"),
    ]


def own_cost_text(result: GatewayResult, duty: str, one: PeerResult) -> str:
    """What a duty adds to the contender's own plain route, or a dash."""
    cost = result.own_cost_us(duty, one)
    return "-" if cost is None else f"{cost:+.1f}"
