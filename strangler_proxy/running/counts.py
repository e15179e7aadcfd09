"""How often each side answered, how often it failed, and how long it took. Pure.

Latencies are kept in a histogram of fixed, logarithmic buckets (each 2^(1/4) = 1.19 times the one
before), so that workers' figures add up and a quantile is right to within a fifth.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Upper bounds in seconds: 100 µs to about 107 s; the last bucket holds whatever took longer.
BOUNDS_S: tuple[float, ...] = tuple(1e-4 * 2 ** (step / 4) for step in range(81))
_BUCKETS = len(BOUNDS_S) + 1


class Tally:
    """The figures of one side of one route in one worker, as they grow."""

    __slots__ = ("buckets", "failures", "requests", "seconds", "statuses")

    def __init__(self) -> None:
        self.requests = 0
        self.failures = 0
        self.seconds = 0.0
        self.statuses: dict[int, int] = {}
        self.buckets = [0] * _BUCKETS

    def record(self, latency_s: float, status: int) -> None:
        """Count one answer; a 5xx one is a failure."""
        self.requests += 1
        self.seconds += latency_s
        if status >= 500:
            self.failures += 1
        try:
            self.statuses[status] += 1
        except KeyError:
            self.statuses[status] = 1
        self.buckets[bisect_left(BOUNDS_S, latency_s)] += 1

    def as_json(self) -> dict[str, Any]:
        """The figures as plain values, in the form that `SideCounts.from_json` reads."""
        return _as_json(self.requests, self.failures, self.seconds, self.statuses, self.buckets)


def _as_json(
    requests: int,
    failures: int,
    seconds: float,
    statuses: Mapping[int, int],
    buckets: Sequence[int],
) -> dict[str, Any]:
    """Plain values; only buckets that hold something."""
    return {
        "requests": requests,
        "failures": failures,
        "seconds": seconds,
        "statuses": {str(status): held for status, held in sorted(statuses.items())},
        "latency": {str(index): held for index, held in enumerate(buckets) if held},
    }


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many answers took how long: one count per bucket of BOUNDS_S and one for the rest."""

    buckets: tuple[int, ...] = (0,) * _BUCKETS

    @property
    def total(self) -> int:
        """How many answers are counted."""
        return sum(self.buckets)

    def quantile_s(self, fraction: float) -> float | None:
        """The time within which this fraction of answers came, as its bucket's upper bound.

        None when nothing was counted; infinity when it lies beyond the last bound.
        """
        total = self.total
        if total == 0:
            return None
        seen = 0
        for index, held in enumerate(self.buckets):
            seen += held
            if seen >= fraction * total and seen:
                return BOUNDS_S[index] if index < len(BOUNDS_S) else float("inf")
        return float("inf")

    def __add__(self, other: "Histogram") -> "Histogram":
        pairs = zip(self.buckets, other.buckets, strict=True)
        return Histogram(tuple(mine + theirs for mine, theirs in pairs))

    def __sub__(self, other: "Histogram") -> "Histogram":
        pairs = zip(self.buckets, other.buckets, strict=True)
        return Histogram(tuple(max(0, mine - theirs) for mine, theirs in pairs))


@dataclass(frozen=True, slots=True)
class SideCounts:
    """The figures of one side of one route over all workers.

    `failures`: 5xx answers and upstream faults; a client that hangs up is not one. An answer that
    broke off after its head is a failure with the status that the client saw.
    """

    requests: int = 0
    failures: int = 0
    latency: Histogram = Histogram()
    seconds: float = 0.0
    """The sum of all latencies."""
    statuses: Mapping[int, int] = field(default_factory=dict)

    def __add__(self, other: "SideCounts") -> "SideCounts":
        statuses = self.statuses.keys() | other.statuses.keys()
        return SideCounts(
            self.requests + other.requests,
            self.failures + other.failures,
            self.latency + other.latency,
            self.seconds + other.seconds,
            {key: self.statuses.get(key, 0) + other.statuses.get(key, 0) for key in statuses},
        )

    def __sub__(self, earlier: "SideCounts") -> "SideCounts":
        """What came since `earlier`; never below zero."""
        since = {key: held - earlier.statuses.get(key, 0) for key, held in self.statuses.items()}
        return SideCounts(
            max(0, self.requests - earlier.requests),
            max(0, self.failures - earlier.failures),
            self.latency - earlier.latency,
            max(0.0, self.seconds - earlier.seconds),
            {key: held for key, held in since.items() if held > 0},
        )

    def as_json(self) -> dict[str, Any]:
        """The figures as plain values, in the form that `from_json` reads."""
        return _as_json(
            self.requests, self.failures, self.seconds, self.statuses, self.latency.buckets
        )

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "SideCounts":
        """Read what `as_json` wrote; `seconds` and `statuses` may be missing (older figures)."""
        buckets = [0] * _BUCKETS
        for index, held in data["latency"].items():
            buckets[int(index)] = held
        return SideCounts(
            data["requests"],
            data["failures"],
            Histogram(tuple(buckets)),
            data.get("seconds", 0.0),
            {int(status): held for status, held in data.get("statuses", {}).items()},
        )
