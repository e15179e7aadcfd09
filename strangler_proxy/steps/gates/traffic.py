"""Live traffic as evidence: what the running proxy counts while a stage stands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from strangler_proxy.running import SideCounts
from strangler_proxy.steps.duration import spelled
from strangler_proxy.steps.judgement import Judge, RouteWindow, worst
from strangler_proxy.steps.step import Evidence, Facts, Pace, Verdict

Counts = Mapping[str, Mapping[str, SideCounts]]
"""Route name -> upstream name -> figures since the proxy started."""


class Unobservable(Exception):
    """The counts cannot be read now; the message says why."""


@dataclass(frozen=True)
class Watch:
    """Passes when `seconds` have gone by and every judge is content with the traffic since.

    Fails as soon as one judge has seen enough to fail. While the proxy cannot be asked there is
    no evidence: `counts` raises Unobservable.

    `sides`: route -> (control, candidate) upstreams. `affected`: route -> the upstream that
    serves it, for routes that the step changes from behind; they are held against their own past.
    `known`: route -> the record of the control, or of that past, from an earlier life of the proxy.
    It is noted when the watch begins, since a proxy that begins anew knows nothing of it, and a
    control that serves nobody any more will never tell again.
    """

    name: str
    seconds: float
    judges: tuple[Judge, ...]
    counts: Callable[[], Counts]
    sides: Mapping[str, tuple[str, str]]
    patience_s: float
    interval_s: float = 1.0
    affected: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, SideCounts] = field(default_factory=dict)

    @property
    def criteria(self) -> str:
        """What it takes to pass, for the plan."""
        return f"{spelled(self.seconds)}: {self.judged}"

    @property
    def judged(self) -> str:
        """What is asked of the traffic, without for how long."""
        judges = "; ".join(judge.criteria for judge in self.judges)
        behind = ", ".join(self.affected)
        past = f"; {behind} held against its own past" if behind else ""
        return f"{judges}{past}"

    def begin(self, pace: Pace) -> "Watching":
        """Start a window of traffic now."""
        return Watching(self, pace, pace.now())

    def resume(self, pace: Pace, noted: Facts) -> "Watching":
        """Start a window of traffic now, and remember the control."""
        return replace(self, known=record_from(noted["known"])).begin(pace)

    def record(self, counts: Counts) -> dict[str, SideCounts]:
        """What `counts` know of the control of each route, and of the past of those affected."""
        served = {route: control for route, (control, _) in self.sides.items()} | dict(
            self.affected
        )
        live = {route: _side(counts, route, upstream) for route, upstream in served.items()}
        return {route: self._better(route, side) for route, side in live.items()}

    def _better(self, route: str, live: SideCounts) -> SideCounts:
        known = self.known.get(route, SideCounts())
        return known if known.requests > live.requests else live


@dataclass
class Watching:
    """One trial of a watch; its window began at `began_at`."""

    watch: Watch
    pace: Pace
    began_at: float
    start: Counts | None = field(default=None)

    def look(self) -> Evidence:
        """Judge the traffic since the trial began."""
        try:
            now = self.watch.counts()
        except Unobservable as fault:
            return Evidence(Verdict.INCONCLUSIVE, str(fault))
        if self.start is None or began_anew(self.start, now):
            self.watch = replace(self.watch, known=self.watch.record(now))
            self.start, self.began_at = now, self.pace.now()
        window = {route: self._window(now, route) for route in self.watch.sides}
        window |= {route: self._own_past(now, route) for route in self.watch.affected}
        evidence = worst({judge.name: judge.judge(window) for judge in self.watch.judges})
        left = self.watch.seconds - (self.pace.now() - self.began_at)
        if evidence.verdict is Verdict.PASSED and left > 0:
            text = f"{evidence.text}; {spelled(left)} to go"
            return Evidence(Verdict.INCONCLUSIVE, text, evidence.numbers)
        return evidence

    def noted(self) -> dict[str, Any]:
        """How the control was when the window began."""
        return {"known": record_as_json(self.watch.known)} if self.start is not None else {}

    def _window(self, now: Counts, route: str) -> RouteWindow:
        control, candidate = self.watch.sides[route]
        return RouteWindow(
            candidate=_side(now, route, candidate) - self._began(route, candidate),
            control=_side(now, route, control) - self._began(route, control),
            record=self.watch.record(now)[route],
        )

    def _own_past(self, now: Counts, route: str) -> RouteWindow:
        upstream, start = self.watch.affected[route], self.start or {}
        since = _side(now, route, upstream) - self._began(route, upstream)
        return RouteWindow(
            candidate=since, control=SideCounts(), record=self.watch.record(start)[route]
        )

    def _began(self, route: str, upstream: str) -> SideCounts:
        return _side(self.start or {}, route, upstream)


def record_as_json(record: Mapping[str, SideCounts]) -> dict[str, Any]:
    """A record by routes, as a ledger keeps it."""
    return {route: side.as_json() for route, side in record.items()}


def record_from(noted: Mapping[str, Any]) -> dict[str, SideCounts]:
    """What `record_as_json` wrote."""
    return {route: SideCounts.from_json(side) for route, side in noted.items()}


def began_anew(then: Counts, now: Counts) -> bool:
    """Counts only grow; one that shrank belongs to a proxy (or worker) that began anew."""
    return any(
        _side(now, route, upstream).requests < side.requests
        for route, sides in then.items()
        for upstream, side in sides.items()
    )


def _side(counts: Counts, route: str, upstream: str) -> SideCounts:
    return counts.get(route, {}).get(upstream, SideCounts())
