"""The last watch of a step: long, judged piece by piece, and gone on with by a later run.

One window of a whole day would hide what went wrong in its last hour. So each piece is judged by
itself; what was soaked is noted at the end of each, and a run that is killed loses no more than the
piece it was at. Nothing is soaked while no run looks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from strangler_proxy.running import SideCounts
from strangler_proxy.steps.duration import spelled
from strangler_proxy.steps.gates.traffic import (
    Unobservable,
    Watch,
    Watching,
    record_as_json,
    record_from,
)
from strangler_proxy.steps.judgement import Faultless
from strangler_proxy.steps.step import Evidence, Facts, Pace, Verdict

PIECE_S = 3600.0


@dataclass(frozen=True)
class Soak:
    """Passes when `watch` has been content for `seconds` altogether, piece by piece.

    A piece lasts `piece_s`, and longer where too few requests come to judge it: a quiet night is
    one long piece. The control as it was when the soak began is noted, for a proxy that begins anew
    knows nothing of it; where nothing is known it counts as one that never failed.
    """

    watch: Watch
    seconds: float
    patience_s: float
    piece_s: float = PIECE_S
    name: str = "soak"

    @property
    def criteria(self) -> str:
        """What it takes to pass, for the plan."""
        each = f", each {spelled(self.piece_s)} by itself" if self.piece_s < self.seconds else ""
        return f"{spelled(self.seconds)}{each}: {self.watch.judged}"

    @property
    def interval_s(self) -> float:
        """How long to wait between two looks."""
        return self.watch.interval_s

    def begin(self, pace: Pace) -> "Soaking":
        """Nothing is soaked yet."""
        return Soaking(self, pace)

    def resume(self, pace: Pace, noted: Facts) -> "Soaking":
        """Go on behind the last piece that was noted."""
        return Soaking(self, pace, noted["soaked_s"], record_from(noted["known"]))

    def piece(self, soaked_s: float, known: Mapping[str, SideCounts]) -> Watch:
        """The watch of the next piece."""
        seconds = min(self.piece_s, self.seconds - soaked_s)
        judges = tuple(Faultless(judge) for judge in self.watch.judges)
        return replace(self.watch, seconds=seconds, judges=judges, known=known)


@dataclass
class Soaking:
    """One soak, over however many runs."""

    gate: Soak
    pace: Pace
    soaked_s: float = 0.0
    known: Mapping[str, SideCounts] | None = None
    _piece: Watching | None = field(default=None, init=False)

    def look(self) -> Evidence:
        """Judge the piece that is under way."""
        if self._over:  # noted by a run that did not come to write more
            return Evidence(Verdict.PASSED, f"{spelled(self.soaked_s)} soaked")
        try:
            known = self._known()
        except Unobservable as fault:
            return Evidence(Verdict.INCONCLUSIVE, str(fault))
        piece = self._piece = self._piece or self._begun(known)
        evidence = piece.look()
        lasted_s = self.soaked_s + self.pace.now() - piece.began_at
        if evidence.verdict is Verdict.PASSED:
            self.soaked_s = lasted_s
            self._piece = None if self._over else self._begun(known)
        verdict = evidence.verdict if self._over else _not_yet(evidence.verdict)
        told = f"{spelled(lasted_s)} of {spelled(self.gate.seconds)} soaked; {evidence.text}"
        return Evidence(verdict, told, {"soaked_s": lasted_s, **evidence.numbers})

    def noted(self) -> dict[str, Any]:
        """How long was soaked in whole pieces, and how the control was before."""
        if self.known is None:
            return {}
        return {"soaked_s": self.soaked_s, "known": record_as_json(self.known)}

    @property
    def _over(self) -> bool:
        return self.soaked_s >= self.gate.seconds

    def _begun(self, known: Mapping[str, SideCounts]) -> Watching:
        piece = self.gate.piece(self.soaked_s, known).begin(self.pace)
        piece.look()  # from this moment on, not from the next look
        return piece

    def _known(self) -> Mapping[str, SideCounts]:
        if self.known is None:
            self.known = self.gate.watch.record(self.gate.watch.counts())
        return self.known


def _not_yet(verdict: Verdict) -> Verdict:
    return Verdict.INCONCLUSIVE if verdict is Verdict.PASSED else verdict
