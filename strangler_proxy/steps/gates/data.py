"""What the data itself proves: everything is copied and followed, and both sides are alike."""

from dataclasses import dataclass, field
from pathlib import Path

from strangler_proxy.steps.moves import DataMove, MoveFailed, MoveState, Verified
from strangler_proxy.steps.step import Evidence, Pace, StandsStill, Verdict


def judge_copy(state: MoveState, most_s: float) -> Evidence:
    """Passed once all rows are copied and no change has waited longer than `most_s` seconds."""
    numbers = {"rows": state.rows, "waiting": state.waiting, "oldest_s": state.oldest_s}
    if state.problems:
        return Evidence(Verdict.FAILED, "; ".join(state.problems), numbers)
    if state.unanswered:
        return Evidence(Verdict.INCONCLUSIVE, "; ".join(state.unanswered), numbers)
    if state.alone:
        return Evidence(Verdict.INCONCLUSIVE, state.alone, numbers)
    if not state.follows:
        of = f" of about {state.estimated:,}" if state.estimated else ""
        return Evidence(Verdict.INCONCLUSIVE, f"{state.rows:,}{of} rows copied", numbers)
    text = f"all {state.rows:,} rows copied; {state.waiting:,} changes wait"
    if state.oldest_s > most_s:
        late = f"{text}, the oldest for {state.oldest_s:.1f} s"
        return Evidence(Verdict.INCONCLUSIVE, late, numbers)
    return Evidence(Verdict.PASSED, text, numbers)


def judge_rows(verified: Verified) -> Evidence:
    """Failed by a row that differs and is not about to be carried over."""
    numbers = {"rows": verified.rows, "differ": verified.differ}
    if verified.differ == 0:
        return Evidence(Verdict.PASSED, f"{verified.rows:,} rows are alike", numbers)
    if verified.differ == verified.explained:
        text = f"{verified.differ:,} rows differ by changes that wait"
        return Evidence(Verdict.INCONCLUSIVE, text, numbers)
    told = "; ".join(verified.shown)
    return Evidence(Verdict.FAILED, f"{verified.differ:,} rows differ: {told}", numbers)


@dataclass(frozen=True)
class Copied:
    """Passes once the mover has copied all rows and is at most `most_s` seconds behind.

    The step stops where it stands when no mover was at work for `gone_s`, which is longer than who
    supervises it takes to start it again. `log` is where it says why it ended.
    """

    move: DataMove
    patience_s: float
    most_s: float = 2.0
    interval_s: float = 0.5
    gone_s: float = 30.0
    log: Path | None = None
    name: str = "copied"

    @property
    def criteria(self) -> str:
        """What it takes to pass, for the plan."""
        return f"all rows are copied, and no change waits longer than {self.most_s:g} s"

    def begin(self, pace: Pace) -> "_Watching":
        """The state tells all by itself, but for how long nobody is at work."""
        return _Watching(self, pace)


@dataclass
class _Watching:
    gate: Copied
    pace: Pace
    _gone_at: float | None = field(default=None, init=False)

    def look(self) -> Evidence:
        """Ask for the state. Raises StandsStill once the mover has been gone for long."""
        try:
            state = self.gate.move.state()
        except MoveFailed as fault:
            return Evidence(Verdict.INCONCLUSIVE, str(fault))
        evidence = judge_copy(state, self.gate.most_s)
        if evidence.verdict is Verdict.INCONCLUSIVE and self._gone_s(state) >= self.gate.gone_s:
            raise StandsStill(self._told(state))
        return evidence

    def _gone_s(self, state: MoveState) -> float:
        now = self.pace.now()
        if not state.alone:
            self._gone_at = None
        elif self._gone_at is None:
            self._gone_at = now
        return 0.0 if self._gone_at is None else now - self._gone_at

    def _told(self, state: MoveState) -> str:
        log = f" Its log: {self.gate.log}." if self.gate.log else ""
        return (
            f"{self.gate.move.name}: {state.alone}.{log} Once that is mended, the same command "
            "starts it again, and it goes on from where it was"
        )


@dataclass(frozen=True)
class RowsAlike:
    """Passes when every row of both sides was compared and none differs, while writes go on."""

    move: DataMove
    patience_s: float = 600.0
    interval_s: float = 1.0
    name: str = "rows"

    @property
    def criteria(self) -> str:
        """What it takes to pass, for the plan."""
        return "every row of both sides is compared, in the databases, and none differs"

    def begin(self, pace: Pace) -> "_Comparing":
        """Nothing is known before."""
        return _Comparing(self)


@dataclass(frozen=True)
class _Comparing:
    gate: RowsAlike

    def look(self) -> Evidence:
        """Compare everything."""
        try:
            return judge_rows(self.gate.move.verify())
        except MoveFailed as fault:
            return Evidence(Verdict.INCONCLUSIVE, str(fault))
