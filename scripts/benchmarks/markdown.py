"""Writes a run as Markdown tables, for docs/benchmarks.md. Pure."""

from collections.abc import Iterable

from scripts.benchmarks.figures import Summary, ratio
from scripts.benchmarks.result import PeerResult, Result
from scripts.benchmarks.upstream import LARGE_ANSWER, LARGE_REQUEST, SMALL


def render(result: Result) -> str:
    """The machine, the main workload, the others in brief, and the verdicts."""
    return "\n\n".join(
        [
            circumstances(result, (one.summary(SMALL.name) for one in result.peers)),
            table(
                "| peer | version | CPU µs/request (min-max) | x strangler | x HAProxy "
                "| requests/s | p50 ms | p99 ms | core used | errors |",
                (_small_row(one, result) for one in result.peers),
            ),
            table(
                "| peer | 1 MB answer, CPU µs | 1 MB request, CPU µs | memory MB "
                "| 5,000 idle, + MB | 1 GiB upload, peak MB | its CPU s |",
                (_other_row(one) for one in result.peers),
            ),
            verdicts(result),
        ]
    )


def circumstances(result: Result, summaries: Iterable[Summary | None]) -> str:
    """When, where and how much was measured, and how much others disturbed."""
    machine, plan = result.machine, result.plan
    seen = [summary.core_foreign.high for summary in summaries if summary is not None]
    noise = f"up to {max(seen):.0%}" if seen else "nothing known"
    return (
        f"{result.started_at[:10]}; {machine.cpu}, {machine.cores} cores, {machine.kernel}; "
        f"{plan.rounds} rounds of {plan.seconds} s. Taken by other processes from the proxy's "
        f"core in a round: {noise}."
    )


def verdicts(result: Result) -> str:
    """A table of the targets."""
    judgements = result.judgements()
    return table(
        "| target | verdict | figures |", ([j.target, j.verdict, j.detail] for j in judgements)
    )


def table(head: str, rows: Iterable[list[str]]) -> str:
    """A Markdown table under a head row."""
    rule = "|" + "---|" * (head.count("|") - 1)
    return "\n".join([head, rule, *(f"| {' | '.join(row)} |" for row in rows)])


def _small_row(one: PeerResult, result: Result) -> list[str]:
    summary = one.summary(SMALL.name)
    if summary is None:
        reason = f"missing: {one.absent}" if one.absent else f"failed: {'; '.join(one.faults)}"
        return [one.peer.title, reason, *["-"] * 8]
    cpu = summary.cpu_us_per_request
    references = [result.of(name) for name in ("strangler", "haproxy")]
    times = [ratio(cpu.median, other.cpu_us() if other else None) for other in references]
    return [
        one.peer.title,
        one.version or "",
        f"{cpu.median:,.1f} ({cpu.low:,.1f}-{cpu.high:,.1f})",
        *("-" if value is None else f"{value:.2f}" for value in times),
        f"{summary.requests_per_s.median:,.0f}",
        f"{summary.p50_us.median / 1e3:.2f}",
        f"{summary.p99_us.median / 1e3:.2f}",
        f"{summary.core_busy.median:.0%}",
        str(one.failures()),
    ]


def _other_row(one: PeerResult) -> list[str]:
    large = [one.cpu_us(workload.name) for workload in (LARGE_ANSWER, LARGE_REQUEST)]
    small = one.summary(SMALL.name)
    return [
        one.peer.title,
        *("-" if cpu is None else f"{cpu:,.0f}" for cpu in large),
        f"{small.pss_bytes.median / 1e6:.0f}" if small else "-",
        f"{one.idle.growth_bytes / 1e6:.1f}" if one.idle else "-",
        f"{one.upload.peak_bytes / 1e6:.0f}" if one.upload else "-",
        f"{one.upload.cpu_s:.2f}" if one.upload else "-",
    ]
