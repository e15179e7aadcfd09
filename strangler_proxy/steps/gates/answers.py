"""Sampled safe requests, asked of control and candidate directly, and compared.

Cannot see: requests with side effects, and what depends on the caller; those are compared by
differential tests on equal state, and watched when their route is flipped.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from strangler_proxy.compare import Answer, Finding, Rules, compare, learn_noise, unexplained
from strangler_proxy.steps.gates.traffic import Unobservable
from strangler_proxy.steps.step import Evidence, Pace, Verdict

LOOK_AGAIN_S = 0.5
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Sample:
    """One safe request. Raises ValueError for a method that may change something."""

    method: str
    target: str

    def __post_init__(self) -> None:
        if self.method not in SAFE_METHODS:
            raise ValueError(f"{self.method} may change something and must not be sampled")

    def __str__(self) -> str:
        return f"{self.method} {self.target}"


Ask = Callable[[Sample], Answer]
"""Sends a sample to one side. Raises Unobservable when no answer comes back."""


@dataclass(frozen=True)
class AnswersCompared:
    """Passes once `minimum` samples, all different, got the same answer from both sides.

    A difference is asked for again with the control asked twice, so that noise and chance do not
    speak against the candidate; one that stays for `settle_s`, in which a copy may catch up with
    what has just been written, fails the gate. `samples` yields what there is to ask; it is called
    again when it runs dry, and raises Unobservable.
    """

    samples: Callable[[], Iterator[Sample]]
    control: Ask
    candidate: Ask
    rules: Rules
    minimum: int
    patience_s: float
    interval_s: float = 0.02
    settle_s: float = 0.0
    name: str = "answers"

    @property
    def criteria(self) -> str:
        """What it takes to pass, for the plan."""
        return f"{self.minimum} sampled safe requests are answered alike by both sides"

    def begin(self, pace: Pace) -> "_Comparing":
        """Start with no sample seen."""
        return _Comparing(self, pace)


@dataclass
class _Doubt:
    """A sample that was answered in two ways: since when, and when it is asked for again."""

    since: float
    again_at: float


@dataclass
class _Comparing:
    gate: AnswersCompared
    pace: Pace
    alike: set[Sample] = field(default_factory=set)
    doubts: dict[Sample, _Doubt] = field(default_factory=dict)
    waiting: Iterator[Sample] = field(default_factory=lambda: iter(()))
    trouble: str = ""

    def look(self) -> Evidence:
        """Compare the next sample that has not been compared yet."""
        try:
            sample = self._next()
            found = self._differences(sample) if sample else []
        except Unobservable as fault:
            self.trouble = f"; {fault}"
            return self._evidence()
        if found and sample and not self._settled(sample):
            self.trouble = f"; {sample}: {found[0]}, which is looked at again"
            return self._evidence()
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            return Evidence(Verdict.FAILED, f"{sample}: {found[0]}{more}", self._numbers())
        if sample:
            self.alike.add(sample)
            self.doubts.pop(sample, None)
            self.trouble = ""
        return self._evidence()

    def _settled(self, sample: Sample) -> bool:
        """Whether it has been answered in two ways for so long that no more waiting will help."""
        now = self.pace.now()
        doubt = self.doubts.setdefault(sample, _Doubt(now, now))
        doubt.again_at = now + LOOK_AGAIN_S
        return now - doubt.since >= self.gate.settle_s

    def _next(self) -> Sample | None:
        now = self.pace.now()
        due = next((sample for sample, doubt in self.doubts.items() if doubt.again_at <= now), None)
        sample = due or self._unseen()
        if sample is None:
            self.waiting = self.gate.samples()
            sample = self._unseen()
        return sample

    def _unseen(self) -> Sample | None:
        known = self.alike | self.doubts.keys()
        return next((sample for sample in self.waiting if sample not in known), None)

    def _differences(self, sample: Sample) -> list[Finding]:
        control = self.gate.control(sample)
        if not self._compared(sample, control, self.gate.rules):
            return []
        again = self.gate.control(sample)
        try:
            rules = learn_noise(control, again, self.gate.rules)
        except ValueError as fault:
            raise Unobservable(f"{sample}: {fault}") from fault
        return self._compared(sample, again, rules)

    def _compared(self, sample: Sample, control: Answer, rules: Rules) -> list[Finding]:
        try:
            candidate = self.gate.candidate(sample)
        except Unobservable as fault:
            # Having no answer to give is the candidate's difference, not a lack of evidence.
            return [Finding("answer", control.status, str(fault))]
        return unexplained(compare(control, candidate, rules))

    def _evidence(self) -> Evidence:
        enough = len(self.alike) >= self.gate.minimum and not self.doubts
        text = f"{len(self.alike)} of {self.gate.minimum} samples alike{self.trouble}"
        verdict = Verdict.PASSED if enough else Verdict.INCONCLUSIVE
        return Evidence(verdict, text, self._numbers())

    def _numbers(self) -> dict[str, float]:
        return {"alike": len(self.alike)}
