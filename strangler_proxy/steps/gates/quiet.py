"""That an upstream is asked nothing any more, by the proxy's own counts."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from strangler_proxy.steps.duration import spelled
from strangler_proxy.steps.gates.soak import PIECE_S
from strangler_proxy.steps.gates.traffic import Counts, Unobservable, began_anew
from strangler_proxy.steps.step import Evidence, Facts, Pace, Verdict


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
    is not seen. What reaches it within `settle_s` was on its way, and begins the time anew. Each
    `piece_s` of quiet is noted, so that a later run goes on from there, unless the upstream was
    asked meanwhile; time in which no run looks does not count. A proxy or worker that began anew
    has forgotten what was asked before: if the upstream was asked at all then, nobody can tell
    when, and all the time begins anew.
    """

    upstream: str
    seconds: float
    least: int
    counts: Callable[[], Counts]
    patience_s: float
    interval_s: float = 1.0
    settle_s: float = 5.0
    piece_s: float = PIECE_S
    name: str = "quiet"

    @property
    def criteria(self) -> str:
        """What it takes to pass, for the plan."""
        long = f"{spelled(self.seconds)} and {self.least} requests long"
        return f"{long}, none reaches {self.upstream}"

    def begin(self, pace: Pace) -> "Listening":
        """Listen from now on."""
        return Listening(self, pace, pace.now(), pace.now() + self.settle_s)

    def resume(self, pace: Pace, noted: Facts) -> "Listening":
        """Listen on, behind the last piece that was noted."""
        return Listening(self, pace, pace.now(), pace.now() + self.settle_s, Quiet(**noted))


@dataclass(frozen=True, slots=True)
class Quiet:
    """What is behind: seconds of quiet, requests to others in them, and who had asked by then.

    `counted` are all the requests that the proxy knew of by then.
    """

    seconds: float = 0.0
    elsewhere: int = 0
    asked: Mapping[str, int] = field(default_factory=dict)
    counted: int = 0

    def broken_by(self, now: Mapping[str, int], counted: int) -> bool:
        """Whether the upstream may have been asked since; see NothingReaches on one begun anew."""
        goes_on = counted >= self.counted and all(
            now.get(route, 0) >= number for route, number in self.asked.items()
        )
        before = self.asked if goes_on else {}
        return _rose(before, now)


@dataclass
class Listening:
    """One trial, over however many runs."""

    gate: NothingReaches
    pace: Pace
    began_at: float
    settled_at: float
    behind: Quiet = Quiet()
    start: Counts | None = field(default=None)

    def look(self) -> Evidence:
        """Judge what was counted since the trial began."""
        try:
            now = self.gate.counts()
        except Unobservable as fault:
            return Evidence(Verdict.INCONCLUSIVE, str(fault))
        name = self.gate.upstream
        if self.start is None:
            if self.behind.broken_by(asked(now, name), _all(now)):
                self.behind = Quiet()
            self._listen_from(now)
        before, after = asked(self.start or {}, name), asked(now, name)
        if began_anew(self.start or {}, now) and not _rose(before, after):
            self._begun_anew(now)
            before = after
        since = max(0, _others(now, name) - _others(self.start or {}, name))
        evidence = judge_quiet(before, after, self.behind.elsewhere + since, self.gate.least)
        if evidence.verdict is Verdict.FAILED:
            return self._failed(evidence, now)
        quiet_s = self.pace.now() - self.began_at
        left = self.gate.seconds - self.behind.seconds - quiet_s
        if quiet_s >= self.gate.piece_s:
            behind = self.behind
            self.behind = Quiet(
                behind.seconds + quiet_s, behind.elsewhere + since, after, _all(now)
            )
            self._listen_from(now)
        if evidence.verdict is Verdict.PASSED and left > 0:
            text = f"{evidence.text}; {spelled(left)} to go"
            return Evidence(Verdict.INCONCLUSIVE, text, evidence.numbers)
        return evidence

    def noted(self) -> dict[str, Any]:
        """The quiet of whole pieces."""
        return asdict(self.behind) if self.behind.seconds else {}

    def _failed(self, evidence: Evidence, now: Counts) -> Evidence:
        if self.pace.now() >= self.settled_at:
            return evidence
        self.behind = Quiet()
        self._listen_from(now)
        return Evidence(Verdict.INCONCLUSIVE, f"{evidence.text}, begun before", evidence.numbers)

    def _begun_anew(self, now: Counts) -> None:
        if any(asked(now, self.gate.upstream).values()):
            self.behind = Quiet()  # by another worker, long ago, or just now: nobody can tell
        self._listen_from(now)

    def _listen_from(self, now: Counts) -> None:
        self.start, self.began_at = now, self.pace.now()


def _rose(before: Mapping[str, int], now: Mapping[str, int]) -> bool:
    """Whether more is counted than before: certain, also of a proxy that began anew."""
    return any(number > before.get(route, 0) for route, number in now.items())


def _others(counts: Counts, upstream: str) -> int:
    return _all(counts) - sum(asked(counts, upstream).values())


def _all(counts: Counts) -> int:
    return sum(side.requests for sides in counts.values() for side in sides.values())
