"""Numbers made out of rounds. Pure: reads no clock, starts nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Round:
    """One run of the load against one peer, as it was measured."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    errors: int  # socket errors, timeouts and answers that were not 2xx or 3xx
    cpu_us_per_request: float  # the proxy's whole process tree, user and system
    core_busy: float  # share of the proxy's core that the proxy used, 0..1
    core_foreign: float  # share of that core that others took meanwhile: noise
    pss_bytes: int  # memory of the tree right after the load

    @property
    def requests_per_s(self) -> float:
        """Completed requests over the time the load ran."""
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of a figure over the rounds, and how far the rounds lay apart."""

    median: float
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread:
    """Summarise one figure over its rounds; raises ValueError when there was no round."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no rounds to summarise")
    return Spread(median(ordered), ordered[0], ordered[-1])


def ratio(figure: float | None, reference: float | None) -> float | None:
    """How many times the reference a figure is; None when either was not measured."""
    if figure is None or not reference:
        return None
    return figure / reference


@dataclass(frozen=True, slots=True)
class Summary:
    """A peer's figures for one workload over all of its rounds."""

    requests_per_s: Spread
    p50_us: Spread
    p99_us: Spread
    cpu_us_per_request: Spread
    core_busy: Spread
    core_foreign: Spread
    pss_bytes: Spread
    errors: int


def summarise(rounds: list[Round]) -> Summary:
    """Medians with minimum and maximum, and all errors of all rounds added up."""
    return Summary(
        requests_per_s=spread(r.requests_per_s for r in rounds),
        p50_us=spread(r.p50_us for r in rounds),
        p99_us=spread(r.p99_us for r in rounds),
        cpu_us_per_request=spread(r.cpu_us_per_request for r in rounds),
        core_busy=spread(r.core_busy for r in rounds),
        core_foreign=spread(r.core_foreign for r in rounds),
        pss_bytes=spread(r.pss_bytes for r in rounds),
        errors=sum(r.errors for r in rounds),
    )
