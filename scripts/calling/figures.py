"""What is told of the traffic: counts and latencies by kind of request. Pure."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from scripts.walking.figures import Failure, Figures, percentile

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of request, or all of them."""

    kind: str
    requests: int
    failed: int
    p50_ms: float | None
    p99_ms: float | None


def lines(figures: Figures) -> list[Line]:
    """All requests, and then each kind by itself."""
    failed = Counter(failure.kind for failure in figures.failures)
    kinds = [_line(kind, figures.latencies_s(None, kind), failed[kind]) for kind in figures.kinds()]
    return [_line("all", figures.latencies_s(None, None), failed.total()), *kinds]


def as_json(figures: Figures, url: str, clients: int, seconds: float) -> dict[str, Any]:
    """Everything that was seen, with the first failures in full."""
    total, *kinds = lines(figures)
    return {
        "url": url,
        "clients": clients,
        "seconds": round(seconds, 1),
        "requests": total.requests,
        "failed": total.failed,
        "kinds": [asdict(line) for line in kinds],
        "failures": [asdict(failure) for failure in figures.failures[:SHOWN]],
    }


def told(line: Line) -> str:
    """A line in words."""
    p50, p99 = shown(line.p50_ms), shown(line.p99_ms)
    return f"{line.requests:,} requests, {line.failed:,} failed; p50 {p50} ms, p99 {p99} ms"


def shown(value: float | None) -> str:
    """A latency in milliseconds, or a dash where there is none."""
    return "-" if value is None else f"{value:,.0f}"


def described(failure: Failure) -> str:
    """A failure with all that helps to look into it."""
    answer = failure.answer or "(none)"
    return (
        f"failed: {failure.request} (request id {failure.request_id})\n"
        f"    {failure.problem}\n    answer: {answer}"
    )


def _line(kind: str, latencies_s: list[float], failed: int) -> Line:
    p50, p99 = (_ms(percentile(latencies_s, percent)) for percent in (50, 99))
    return Line(kind, len(latencies_s), failed, p50, p99)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
