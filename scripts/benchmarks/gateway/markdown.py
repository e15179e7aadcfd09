"""Writes a run as Markdown tables, for docs/benchmarks.md. Pure."""

from scripts.benchmarks.figures import Summary, ratio
from scripts.benchmarks.gateway.report import own_cost_text
from scripts.benchmarks.gateway.result import GatewayResult
from scripts.benchmarks.markdown import circumstances, table, verdicts
from scripts.benchmarks.report import absence, times_text
from scripts.benchmarks.result import PeerResult
from scripts.benchmarks.targets import STRANGLER

_HEAD = (
    "| duty | peer | CPU µs/request (min-max) | over its plain route, µs | x strangler "
    "| requests/s | p50 ms | p99 ms | core used | errors |"
)


def render(result: GatewayResult) -> str:
    """The machine, who was measured, every duty, and the verdicts."""
    versions = "; ".join(f"{one.peer.title}: {one.version}" for one in result.peers if one.version)
    return "\n\n".join(
        [
            circumstances(result, (summary for _, _, summary in result.rows())),
            f"{versions}.",
            table(_HEAD, (_row(result, *row) for row in result.rows())),
            verdicts(result),
        ]
    )


def _row(result: GatewayResult, duty: str, one: PeerResult, summary: Summary | None) -> list[str]:
    names = [result.titles[duty], one.peer.title]
    if summary is None:
        return [*names, absence(one), *["-"] * 7]
    cpu = summary.cpu_us_per_request
    ours = result.of(STRANGLER)
    return [
        *names,
        f"{cpu.median:,.1f} ({cpu.low:,.1f}-{cpu.high:,.1f})",
        own_cost_text(result, duty, one),
        times_text(ratio(cpu.median, ours.cpu_us(duty) if ours else None)),
        f"{summary.requests_per_s.median:,.0f}",
        f"{summary.p50_us.median / 1e3:.2f}",
        f"{summary.p99_us.median / 1e3:.2f}",
        f"{summary.core_busy.median:.0%}",
        str(summary.errors),
    ]
