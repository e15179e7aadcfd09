"""Counts and latencies of the traffic, by phase and kind of request. Pure, but for its lock."""

import math
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass


def percentile(values: Iterable[float], percent: float) -> float | None:
    """Return the nearest-rank percentile, or None for no values: a value that really occurred."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Failure:
    """A request whose answer was wrong or did not come, with all that helps to look into it."""

    kind: str
    phase: str
    request: str
    request_id: str
    problem: str
    answer: str


class Figures:
    """What the clients saw; any number of threads may add to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latencies_s: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._failures: list[Failure] = []
        self.excused = 0

    def answered(self, phase: str, kind: str, latency_s: float) -> None:
        """Count a request and the time until its answer was complete, or was given up."""
        with self._lock:
            self._latencies_s[phase, kind].append(latency_s)

    def failed(self, failure: Failure) -> None:
        """Count a failure of a request that `answered` has counted as well."""
        with self._lock:
            self._failures.append(failure)

    def excuse(self) -> None:
        """Count a failure that had to be, because a part was down."""
        with self._lock:
            self.excused += 1

    @property
    def requests(self) -> int:
        """How many requests were answered or given up."""
        with self._lock:
            return sum(map(len, self._latencies_s.values()))

    @property
    def failures(self) -> list[Failure]:
        """The failures so far, oldest first."""
        with self._lock:
            return list(self._failures)

    def latencies_s(self, phase: str | None, kind: str | None) -> list[float]:
        """The latencies of a phase and a kind; None stands for all of them."""
        with self._lock:
            return [
                latency
                for (in_phase, of_kind), found in self._latencies_s.items()
                if phase in (None, in_phase) and kind in (None, of_kind)
                for latency in found
            ]

    def kinds(self) -> list[str]:
        """Every kind of request that was sent."""
        with self._lock:
            return sorted({kind for _, kind in self._latencies_s})
