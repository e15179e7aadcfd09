"""That an upstream is asked nothing any more, by the proxy's own counts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from strangler_proxy.steps.duration import spelled
from strangler_proxy.steps.gates.traffic import Counts, Unobservable
from strangler_proxy.steps.step import Evidence, Pace, Verdict


def asked(counts: Counts, upstream: str) -> dict[str, int]:
    """How often each route has asked it."""
    return {route: sides[upstream].requests for route, sides in counts.items() if upstream in sides}


def judge_quiet(
    before: Mapping[str, int], now: Mapping[str, int], others: int, least: int
) -> Evidence:
    """Failed by one request to it; too few requests to `others` are no proof."""
    since = {route: now[route] - before.get(route, 0) for route in now}
    reached = {route: number for route, number in since.items() if number > 0}
    numbers = {"requests": float(sum(reached.values())), "elsewhere": float(others)}
    if reached:
        told = ", ".join(f"{route} {number:,} times" for route, number in sorted(reached.items()))
        return Evidence(Verdict.FAILED, f"it was asked: {told}", numbers)
    text = f"no request of {others:,} reached it"
    enough = others >= least
    return Evidence(Verdict.PASSED if enough else Verdict.INCONCLUSIVE, text, numbers)


@dataclass(frozen=True)
class NothingReaches:
    """Passes when no request has reached `upstream` for `seconds`, and `least` have others.

    Each route of the proxy is looked at, and what no route names. Who asks the upstream directly
    is not seen. What reaches it within `settle_s` was on its way, and begins the time anew.
    """

    upstream: str
    seconds: float
    least: int
    counts: Callable[[], Counts]
    patience_s: float
    interval_s: float = 1.0
    settle_s: float = 5.0
    name: str = "quiet"

    @property
    def criteria(self) -> str:
        """What it takes to pass, for the plan."""
        return (
            f"{spelled(self.seconds)} and {self.least} requests long, none reaches {self.upstream}"
        )

    def begin(self, pace: Pace) -> "_Listening":
        """Listen from now on."""
        return _Listening(self, pace, pace.now(), pace.now() + self.settle_s)


@dataclass
class _Listening:
    gate: NothingReaches
    pace: Pace
    began_at: float
    settled_at: float
    start: Counts | None = field(default=None)

    def look(self) -> Evidence:
        """Judge what was counted since the trial began."""
        try:
            now = self.gate.counts()
        except Unobservable as fault:
            return Evidence(Verdict.INCONCLUSIVE, str(fault))
        if self.start is None or _all(now) < _all(self.start):  # the proxy began anew
            self.start, self.began_at = now, self.pace.now()
        name = self.gate.upstream
        before, after = asked(self.start, name), asked(now, name)
        others = _all(now) - _all(self.start) - sum(after.values()) + sum(before.values())
        evidence = judge_quiet(before, after, others, self.gate.least)
        if evidence.verdict is Verdict.FAILED and self.pace.now() < self.settled_at:
            self.start, self.began_at = now, self.pace.now()
            return Evidence(
                Verdict.INCONCLUSIVE, f"{evidence.text}, begun before", evidence.numbers
            )
        left = self.gate.seconds - (self.pace.now() - self.began_at)
        if evidence.verdict is Verdict.PASSED and left > 0:
            text = f"{evidence.text}; {spelled(left)} to go"
            return Evidence(Verdict.INCONCLUSIVE, text, evidence.numbers)
        return evidence


def _all(counts: Counts) -> int:
    return sum(side.requests for sides in counts.values() for side in sides.values())
