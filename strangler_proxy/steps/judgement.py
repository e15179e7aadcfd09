"""From counts to a verdict: errors and p99 of the candidate against the control. Pure.

Errors. Each side's failures are taken as draws of a binomial; the difference of the two ratios
gets confidence bounds (see bounds.py):

    the lower bound is above what is tolerated   failed: worse, and not by chance
    the upper bound is within what is tolerated  passed: what chance could hide is tolerable
    otherwise                                    inconclusive: more requests are needed

p99. The limit is the larger of an absolute floor and a factor of the control's p99: below the
floor nobody waits, and a factor alone would fail 3 ms against 1 ms. The true p99 is bounded from
below by an order statistic. Failed if even that bound is over the limit; passed if the sample's own
p99 is within it and there are as many requests as asked for; otherwise inconclusive. The pass is
a point estimate: an upper bound at 95 % would take 299 requests, which `minimum` can ask for.

A gate looks again and again, which finds chance effects more often than one look would. So no
gate fails on fewer than three bad requests, however few there were altogether.

A control of which nothing is known. Where it still serves, its requests are waited for. Where the
candidate serves wholly they never come: there it counts as one that never failed (`Faultless`).
A pass stays proved, since no control fails less than never: the candidate's own ratio is then
bounded by what is tolerated. A failure says less than elsewhere: that the candidate is over what is
tolerated by itself, and not that it is worse than the control was.

Cannot see: failures that come in bursts are not independent draws, so confidence is overstated;
a route's two canary populations differ as their callers do; and while both sides suffer from
something they share, the difference stays small, as it should.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from strangler_proxy.running import SideCounts
from strangler_proxy.steps.bounds import (
    FEWEST_BAD,
    clean_requests_for,
    difference,
    p99_bound_rank,
)
from strangler_proxy.steps.step import Evidence, Verdict


@dataclass(frozen=True, slots=True)
class RouteWindow:
    """What one route saw: both sides since the trial began, and the control's whole record.

    `record` stands in for the control where too little went to it in the window itself, which is
    so at a high canary percentage and always once the candidate serves wholly.
    """

    candidate: SideCounts
    control: SideCounts
    record: SideCounts

    def baseline(self, minimum: int) -> SideCounts:
        """The control's figures to measure against."""
        return self.control if self.control.requests >= minimum else self.record


Window = Mapping[str, RouteWindow]


class Judge(Protocol):
    """Decides on a window of traffic, and on nothing else."""

    @property
    def name(self) -> str:
        """What the evidence is listed under."""

    @property
    def criteria(self) -> str:
        """What it takes to pass, for the plan."""

    def judge(self, window: Window) -> Evidence:
        """The verdict on everything in the window."""


@dataclass(frozen=True, slots=True)
class ErrorLimit:
    """Tolerates `extra` more failures per request than the control has (0.01: one percent).

    `minimum` names the routes, with the least number of candidate requests on each; their sum
    must be enough to prove the bound, and no single route may be proved worse.
    """

    extra: float
    minimum: Mapping[str, int]
    name: str = "errors"

    @property
    def criteria(self) -> str:
        """What it takes to pass, for the plan."""
        return f"at most {self.extra:.1%} more errors than the control (95 % sure)"

    def judge(self, window: Window) -> Evidence:
        """The verdict on everything in the window."""
        for route, minimum in self.minimum.items():
            low = self._worse_by(window[route], minimum)
            if low > self.extra:
                text = f"{route}: {_compared(window[route], minimum)}, worse beyond chance"
                return Evidence(Verdict.FAILED, text, {"extra_at_least": low})
        if lacking := _lacking(window, self.minimum):
            return lacking
        pooled = _pooled(window, self.minimum)
        low, (_, high) = self._worse_by(pooled, 0), _difference(pooled.candidate, pooled.control)
        numbers = {
            "requests": pooled.candidate.requests,
            "failures": pooled.candidate.failures,
            "extra_at_least": low,
            "extra_at_most": high,
        }
        text = f"{_compared(pooled, 0)}; at most {high:.1%} worse, {self.extra:.1%} tolerated"
        if low > self.extra:
            return Evidence(Verdict.FAILED, text, numbers)
        if high <= self.extra:
            return Evidence(Verdict.PASSED, text, numbers)
        return Evidence(Verdict.INCONCLUSIVE, f"{text}; {_wanted(self.extra)}", numbers)

    @staticmethod
    def _worse_by(seen: RouteWindow, minimum: int) -> float:
        """What the candidate is certainly worse by; nothing while there are too few failures."""
        if seen.candidate.failures < FEWEST_BAD:
            return 0.0
        return _difference(seen.candidate, seen.baseline(minimum))[0]


@dataclass(frozen=True, slots=True)
class P99Limit:
    """Tolerates a p99 of `factor` times the control's, and any below `floor_s` seconds.

    `minimum` names the routes, with the least number of candidate requests on each.
    """

    factor: float
    floor_s: float
    minimum: Mapping[str, int]
    name: str = "p99"

    @property
    def criteria(self) -> str:
        """What it takes to pass, for the plan."""
        return f"p99 within {self.factor:g} times the control's or {self.floor_s * 1000:g} ms"

    def judge(self, window: Window) -> Evidence:
        """The verdict on everything in the window."""
        verdicts = [self._route(route, window[route]) for route in self.minimum]
        for wanted in (Verdict.FAILED, Verdict.INCONCLUSIVE):
            if found := next((v for v in verdicts if v.verdict is wanted), None):
                return found
        numbers = {key: value for v in verdicts for key, value in v.numbers.items()}
        return Evidence(Verdict.PASSED, "; ".join(v.text for v in verdicts), numbers)

    def _route(self, route: str, seen: RouteWindow) -> Evidence:
        n, minimum = seen.candidate.requests, self.minimum[route]
        point = seen.candidate.latency.quantile_s(0.99)
        base = seen.baseline(minimum).latency.quantile_s(0.99)
        if point is None or n < minimum:
            return _too_few(route, seen, minimum)
        limit = max(self.floor_s, self.factor * (base or 0.0))
        text = f"{route}: p99 {_ms(point)} of {n} requests, control {_ms(base)}"
        numbers = {f"{route}.p99_s": point, f"{route}.limit_s": limit, f"{route}.requests": n}
        if point <= limit:
            return Evidence(Verdict.PASSED, text, numbers)
        # Half a rank down: a rank is a whole number, and its fraction of n may not be exact.
        bound = seen.candidate.latency.quantile_s((p99_bound_rank(n) - 0.5) / n)
        if bound is not None and bound > limit:
            why = f"{text}; over {_ms(limit)} beyond chance"
            return Evidence(Verdict.FAILED, why, numbers)
        return Evidence(Verdict.INCONCLUSIVE, f"{text}; {_ms(limit)} allowed", numbers)


@dataclass(frozen=True, slots=True)
class Faultless:
    """A judge who takes a control of which nothing is known for one that never failed."""

    judge_of: Judge

    @property
    def name(self) -> str:
        """What the evidence is listed under."""
        return self.judge_of.name

    @property
    def criteria(self) -> str:
        """What it takes to pass, for the plan."""
        return self.judge_of.criteria

    def judge(self, window: Window) -> Evidence:
        """The verdict on everything in the window."""
        return self.judge_of.judge({route: _faultless(seen) for route, seen in window.items()})


def _faultless(seen: RouteWindow) -> RouteWindow:
    if seen.control.requests or seen.record.requests:
        return seen
    return replace(seen, record=SideCounts(requests=max(1, seen.candidate.requests)))


def _difference(candidate: SideCounts, control: SideCounts) -> tuple[float, float]:
    return difference(candidate.failures, candidate.requests, control.failures, control.requests)


def _pooled(window: Window, minimum: Mapping[str, int]) -> RouteWindow:
    candidate, control = SideCounts(), SideCounts()
    for route, least in minimum.items():
        candidate += window[route].candidate
        control += window[route].baseline(least)
    return RouteWindow(candidate, control, control)


def _lacking(window: Window, minimum: Mapping[str, int]) -> Evidence | None:
    few = (
        _too_few(route, window[route], least)
        for route, least in minimum.items()
        if window[route].candidate.requests < least
    )
    return next(few, None)


def _too_few(route: str, seen: RouteWindow, minimum: int) -> Evidence:
    """How many are lacking; and when enough came, but none for the candidate, why.

    Callers are not counted, so it cannot tell one busy caller from many who all fell outside.
    """
    n, others = seen.candidate.requests, seen.control.requests
    text = f"{route}: {n} of {minimum} requests seen"
    if n == 0 and others >= minimum:
        text += (
            f"; the control served {others:,} meanwhile: none of their callers falls into the"
            " candidate's share. More callers (by address, unless the route is sticky by something"
            " else) or a larger share give evidence"
        )
    return Evidence(Verdict.INCONCLUSIVE, text, {f"{route}.requests": n})


def _wanted(extra: float) -> str:
    if extra <= 0:
        return "no number of requests can prove a difference of zero: tolerate more"
    return f"without errors {clean_requests_for(extra)} requests would do"


def _compared(seen: RouteWindow, minimum: int) -> str:
    return f"{_share(seen.candidate)} failed, control {_share(seen.baseline(minimum))}"


def _share(side: SideCounts) -> str:
    return f"{side.failures} of {side.requests}"


def _ms(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds * 1000:.1f} ms"


def worst(all_evidence: Mapping[str, Evidence]) -> Evidence:
    """One verdict of several: failed if one failed, passed only if all passed."""
    order = (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED)
    verdict = min((e.verdict for e in all_evidence.values()), key=order.index)
    texts = _texts(all_evidence, verdict)
    numbers = {f"{n}.{k}": v for n, e in all_evidence.items() for k, v in e.numbers.items()}
    return Evidence(verdict, "; ".join(texts), numbers)


def _texts(all_evidence: Mapping[str, Evidence], verdict: Verdict) -> Iterator[str]:
    return (f"{name}: {e.text}" for name, e in all_evidence.items() if e.verdict is verdict)
