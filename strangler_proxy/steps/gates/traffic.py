"""Live traffic as evidence: what the running proxy counts while a stage stands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from strangler_proxy.running import SideCounts
from strangler_proxy.steps.judgement import RouteWindow, Window, worst
from strangler_proxy.steps.step import Evidence, Pace, Verdict

Counts = Mapping[str, Mapping[str, SideCounts]]
"""Route name -> upstream name -> figures since the proxy started."""


class Unobservable(Exception):
    """The counts cannot be read now; the message says why."""


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


@dataclass(frozen=True)
class Watch:
    """Passes when `seconds` have gone by and every judge is content with the traffic since.

    Fails as soon as one judge has seen enough to fail. While the proxy cannot be asked there is
    no evidence: `counts` raises Unobservable.

    `sides`: route -> (control, candidate) upstreams. `affected`: route -> the upstream that
    serves it, for routes that the step changes from behind; they are held against their own past.
    """

    name: str
    seconds: float
    judges: tuple[Judge, ...]
    counts: Callable[[], Counts]
    sides: Mapping[str, tuple[str, str]]
    patience_s: float
    interval_s: float = 1.0
    affected: Mapping[str, str] = field(default_factory=dict)

    @property
    def criteria(self) -> str:
        """What it takes to pass, for the plan."""
        judges = "; ".join(judge.criteria for judge in self.judges)
        behind = ", ".join(self.affected)
        past = f"; {behind} held against its own past" if behind else ""
        return f"{self.seconds:g} s: {judges}{past}"

    def begin(self, pace: Pace) -> "_Watching":
        """Start a window of traffic now."""
        return _Watching(self, pace, pace.now())


@dataclass
class _Watching:
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
        if self.start is None or self._restarted(now):
            self.start, self.began_at = now, self.pace.now()
        window = {route: self._window(now, route) for route in self.watch.sides}
        window |= {route: self._own_past(now, route) for route in self.watch.affected}
        evidence = worst({judge.name: judge.judge(window) for judge in self.watch.judges})
        left = self.watch.seconds - (self.pace.now() - self.began_at)
        if evidence.verdict is Verdict.PASSED and left > 0:
            text = f"{evidence.text}; {left:.0f} s to go"
            return Evidence(Verdict.INCONCLUSIVE, text, evidence.numbers)
        return evidence

    def _window(self, now: Counts, route: str) -> RouteWindow:
        control, candidate = self.watch.sides[route]
        return RouteWindow(
            candidate=self._side(now, route, candidate) - self._began(route, candidate),
            control=self._side(now, route, control) - self._began(route, control),
            record=self._side(now, route, control),
        )

    def _own_past(self, now: Counts, route: str) -> RouteWindow:
        upstream = self.watch.affected[route]
        past = self._began(route, upstream)
        since = self._side(now, route, upstream) - past
        return RouteWindow(candidate=since, control=SideCounts(), record=past)

    def _began(self, route: str, upstream: str) -> SideCounts:
        return self._side(self.start or {}, route, upstream)

    @staticmethod
    def _side(counts: Counts, route: str, upstream: str) -> SideCounts:
        return counts.get(route, {}).get(upstream, SideCounts())

    def _restarted(self, now: Counts) -> bool:
        """Counts only grow; one that shrank belongs to a proxy (or worker) that began anew."""
        return any(
            self._side(now, route, upstream).requests < then.requests
            for route, sides in (self.start or {}).items()
            for upstream, then in sides.items()
        )
