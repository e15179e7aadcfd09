"""Sampled safe requests, asked of control and candidate directly, and compared.

Cannot see: requests with side effects, and what depends on the caller; those are compared by
differential tests on equal state, and watched when their route is flipped.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from strangler_proxy.compare import Answer, Finding, Rules, compare, learn_noise, unexplained
from strangler_proxy.steps.gates.traffic import Unobservable
from strangler_proxy.steps.step import Evidence, Pace, Verdict

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
    speak against the candidate; one that stays fails the gate. `samples` yields what there is to
    ask; it is called again when it runs dry, and raises Unobservable.
    """

    samples: Callable[[], Iterator[Sample]]
    control: Ask
    candidate: Ask
    rules: Rules
    minimum: int
    patience_s: float
    interval_s: float = 0.02
    name: str = "answers"

    @property
    def criteria(self) -> str:
        """What it takes to pass, for the plan."""
        return f"{self.minimum} sampled safe requests are answered alike by both sides"

    def begin(self, pace: Pace) -> "_Comparing":
        """Start with no sample seen."""
        return _Comparing(self)


@dataclass
class _Comparing:
    gate: AnswersCompared
    alike: set[Sample] = field(default_factory=set)
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
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            return Evidence(Verdict.FAILED, f"{sample}: {found[0]}{more}", self._numbers())
        if sample:
            self.alike.add(sample)
            self.trouble = ""
        return self._evidence()

    def _next(self) -> Sample | None:
        sample = self._unseen()
        if sample is None:
            self.waiting = self.gate.samples()
            sample = self._unseen()
        return sample

    def _unseen(self) -> Sample | None:
        return next((sample for sample in self.waiting if sample not in self.alike), None)

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
        enough = len(self.alike) >= self.gate.minimum
        text = f"{len(self.alike)} of {self.gate.minimum} samples alike{self.trouble}"
        verdict = Verdict.PASSED if enough else Verdict.INCONCLUSIVE
        return Evidence(verdict, text, self._numbers())

    def _numbers(self) -> dict[str, float]:
        return {"alike": len(self.alike)}
