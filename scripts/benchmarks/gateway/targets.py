"""What the gateway must reach, and whether it did. Pure.

As in `bench proxy`: what was not measured is never met but unjudged, and the run says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scripts.benchmarks.targets import STRANGLER, Judgement

ALONE, FASTAPI = "strangler-alone", "fastapi"
PLAIN_FACTOR = 1.1
COMPOSED_FACTOR = 5

Place = tuple[str, str]
"""A contender and a duty, by name."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run found out; what is absent from `cpu_us` was not measured."""

    asked: frozenset[Place]
    cpu_us: Mapping[Place, float]
    errors: int | None  # failed requests through strangler, all duties, both configurations


def judge(evidence: Evidence) -> list[Judgement]:
    """Judge every target once, in a fixed order."""
    return [_judge_plain(evidence), _judge_composed(evidence), _judge_errors(evidence)]


def _judge_plain(evidence: Evidence) -> Judgement:
    words = f"a plain route costs at most {PLAIN_FACTOR} times what it costs with nothing else"
    found = _both(words, evidence, (STRANGLER, "plain"), (ALONE, "plain"))
    if isinstance(found, Judgement):
        return found
    beside, alone = found
    met = beside <= alone * PLAIN_FACTOR
    detail = f"{beside:.1f} µs, {alone:.1f} µs: {beside / alone:.2f} times"
    return Judgement(words, "met" if met else "missed", detail)


def _judge_composed(evidence: Evidence) -> Judgement:
    words = f"composing costs at least {COMPOSED_FACTOR} times less than with FastAPI + httpx"
    found = _both(words, evidence, (STRANGLER, "composed"), (FASTAPI, "composed"))
    if isinstance(found, Judgement):
        return found
    ours, theirs = found
    met = ours * COMPOSED_FACTOR <= theirs
    detail = f"{ours:.1f} µs, {theirs:.1f} µs: {theirs / ours:.1f} times less"
    return Judgement(words, "met" if met else "missed", detail)


def _both(
    words: str, evidence: Evidence, first: Place, second: Place
) -> tuple[float, float] | Judgement:
    if not {first, second} <= evidence.asked:
        return Judgement(words, "not asked", "left out")
    absent = [f"{peer}, {duty}" for peer, duty in (first, second) if _absent(evidence, peer, duty)]
    if absent:
        return Judgement(words, "unjudged", f"not measured: {'; '.join(absent)}")
    return evidence.cpu_us[first], evidence.cpu_us[second]


def _absent(evidence: Evidence, peer: str, duty: str) -> bool:
    return (peer, duty) not in evidence.cpu_us


def _judge_errors(evidence: Evidence) -> Judgement:
    words = "not one failed request through strangler"
    if not any(peer in (STRANGLER, ALONE) for peer, _ in evidence.asked):
        return Judgement(words, "not asked", "left out")
    if evidence.errors is None:
        return Judgement(words, "unjudged", "strangler was not measured")
    return Judgement(words, "missed" if evidence.errors else "met", f"{evidence.errors} failed")
