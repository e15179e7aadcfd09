"""Shows a run as tables. What was not measured is named, with its reason, never left out."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scripts.benchmarks.figures import Spread, Summary, ratio
from scripts.benchmarks.measure import IDLE_CONNECTIONS
from scripts.benchmarks.result import PeerResult, Result
from scripts.benchmarks.targets import STRANGLER
from scripts.benchmarks.upstream import SMALL, WORKLOADS
from scripts.benchmarks.wrk import Workload

_STYLES = {"met": "green", "missed": "bold red", "unjudged": "yellow", "not asked": "dim"}
_NOISE = 0.05


def show(result: Result, console: Console) -> None:
    """Print the machine, a table for each workload, memory, what is missing, and the targets."""
    show_machine(result, console)
    for workload in WORKLOADS:
        console.print(_workload_table(result, workload))
    console.print(_memory_table(result))
    show_faults(result, console)
    show_noise((one.summary(SMALL.name) for one in result.peers), console)
    console.print(targets_table(result))


def show_machine(result: Result, console: Console) -> None:
    """Print where and when it was measured, and of whom."""
    machine = result.machine
    console.print(
        f"\n{machine.cpu}, {machine.cores} cores, {machine.memory_gb:.0f} GB, {machine.kernel}; "
        f"proxy on core {result.proxy_core}, upstream and load on {result.load_cores}; "
        f"load average before: {machine.load_before}"
    )
    versions = (f"{one.peer.title} {one.version}" for one in result.peers if one.version)
    console.print("; ".join(versions))


def _workload_table(result: Result, workload: Workload) -> Table:
    table = Table(title=f"\n{workload.title}, {workload.connections} connections")
    table.add_column("peer")
    for heading in (
        "CPU µs/request\n(min-max)",
        "x strangler",
        "x HAProxy",
        "requests/s\n(min-max)",
        "p50 ms",
        "p99 ms",
        "core used",
        "memory MB",
        "errors",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    references = [_cpu(result, name, workload) for name in (STRANGLER, "haproxy")]
    for one in result.peers:
        summary = one.summary(workload.name)
        name = f"{one.peer.title} *" if one.peer.note else one.peer.title
        if summary is None:
            table.add_row(name, Text(absence(one), style="yellow"))
        else:
            table.add_row(name, *_cells(summary, references))
    return table


def _cells(summary: Summary, references: list[float | None]) -> list[str | Text]:
    cpu = summary.cpu_us_per_request
    return [
        spread_text(cpu, 1 if cpu.median < 1000 else 0),
        *(times_text(ratio(cpu.median, reference)) for reference in references),
        spread_text(summary.requests_per_s, 0),
        f"{summary.p50_us.median / 1e3:.2f}",
        f"{summary.p99_us.median / 1e3:.2f}",
        f"{summary.core_busy.median:.0%}",
        f"{summary.pss_bytes.median / 1e6:.0f}",
        Text(str(summary.errors), style="bold red" if summary.errors else "green"),
    ]


def _memory_table(result: Result) -> Table:
    table = Table(
        title=f"\nMemory: {IDLE_CONNECTIONS} idle connections; 1 GiB uploaded as a stream"
    )
    table.add_column("peer")
    for heading in (
        "fresh MB",
        "growth MB",
        "KB per\nconnection",
        "still open",
        "upload\npeak MB",
        "upload\nCPU s",
        "upload\nGB/s",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in result.peers:
        table.add_row(one.peer.title, *_idle_cells(one), *_upload_cells(one))
    return table


def _idle_cells(one: PeerResult) -> list[str | Text]:
    idle = one.idle
    if idle is None:
        return ["-"] * 4
    return [
        f"{idle.before_bytes / 1e6:.0f}",
        f"{idle.growth_bytes / 1e6:.1f}",
        f"{idle.growth_bytes / 1e3 / idle.connections:.1f}",
        Text(str(idle.alive), style="" if idle.alive == idle.connections else "bold red"),
    ]


def _upload_cells(one: PeerResult) -> list[str]:
    upload = one.upload
    if upload is None:
        return ["-"] * 3
    return [
        f"{upload.peak_bytes / 1e6:.0f}",
        f"{upload.cpu_s:.2f}",
        f"{upload.size_bytes / 1e9 / upload.seconds:.2f}",
    ]


def show_faults(result: Result, console: Console) -> None:
    """Print who is missing or failed, and what to know of the others."""
    for one in result.peers:
        if one.peer.note:
            console.print(f"* {one.peer.title} {one.peer.note}", style="dim")
    for one in result.peers:
        if one.absent:
            console.print(
                f"missing: {one.peer.title}, {one.absent}; it comes with: {one.peer.install}",
                style="yellow",
            )
        for fault in one.faults:
            console.print(f"failed: {one.peer.title}, {fault}", style="bold red", markup=False)


def show_noise(summaries: Iterable[Summary | None], console: Console) -> None:
    """Print how much others disturbed, if that was much."""
    foreign = [summary.core_foreign.high for summary in summaries if summary is not None]
    if foreign and max(foreign) > _NOISE:
        console.print(
            f"noise: other processes took up to {max(foreign):.0%} of the proxy's core during a "
            "round. CPU per request suffers least from that; throughput and latency do.",
            style="yellow",
        )


def targets_table(result: Result) -> Table:
    """The verdicts."""
    table = Table("target", "verdict", "figures", title="\nTargets")
    for judgement in result.judgements():
        verdict = Text(judgement.verdict, style=_STYLES[judgement.verdict])
        table.add_row(judgement.target, verdict, judgement.detail)
    return table


def _cpu(result: Result, name: str, workload: Workload) -> float | None:
    one = result.of(name)
    return one.cpu_us(workload.name) if one else None


def absence(one: PeerResult) -> str:
    """Why a peer has no figures."""
    return f"missing: {one.absent}" if one.absent else "failed: see below"


def spread_text(spread: Spread, digits: int) -> str:
    """The median, with the lowest and highest."""
    median, low, high = (f"{x:,.{digits}f}" for x in (spread.median, spread.low, spread.high))
    return f"{median} ({low}-{high})"


def times_text(times: float | None) -> str:
    """A ratio, or a dash."""
    return "-" if times is None else f"{times:.2f}"
