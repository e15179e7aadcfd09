"""What the copy must reach, and whether it did. Pure.

As in `bench proxy`: what was not measured is never met but unjudged, and the run says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scripts.benchmarks.targets import Judgement

FASTER = 1.5
PIPE = 2.0
FLAT = 1.25  # pages grow to their full size within the first rows, and stay


@dataclass(frozen=True, slots=True)
class Evidence:
    """Medians by contender; peak memory at a tenth of the rows and at all of them, in bytes."""

    asked: frozenset[str]
    seconds: Mapping[str, float]
    memory: Mapping[str, tuple[int, int]]


def judge(evidence: Evidence) -> list[Judgement]:
    """Judge every target once, in a fixed order."""
    return [
        _faster("PostgreSQL to PostgreSQL", evidence, "strangler", "pgloader"),
        _faster("SQLite to PostgreSQL", evidence, "strangler-sqlite", "pgloader-sqlite"),
        _within(evidence),
        _flat("PostgreSQL to PostgreSQL", evidence, "strangler"),
        _flat("SQLite to PostgreSQL", evidence, "strangler-sqlite"),
    ]


def _faster(what: str, evidence: Evidence, ours: str, theirs: str) -> Judgement:
    words = f"{what}: at least {FASTER} times as fast as pgloader"
    if missing := _missing(words, evidence, ours, theirs):
        return missing
    mine, other = evidence.seconds[ours], evidence.seconds[theirs]
    return _judged(words, mine * FASTER <= other, f"{mine:.1f} s, {other:.1f} s", other / mine)


def _within(evidence: Evidence) -> Judgement:
    words = f"PostgreSQL to PostgreSQL: within {PIPE:.0f} times of two psql, piped"
    if missing := _missing(words, evidence, "strangler", "pipe"):
        return missing
    mine, pipe = evidence.seconds["strangler"], evidence.seconds["pipe"]
    return _judged(words, mine <= pipe * PIPE, f"{mine:.1f} s, {pipe:.1f} s", mine / pipe)


def _flat(what: str, evidence: Evidence, ours: str) -> Judgement:
    words = f"{what}: memory at most {FLAT} times that for a tenth of the rows"
    if ours not in evidence.asked:
        return Judgement(words, "not asked", "left out by --only")
    if ours not in evidence.memory:
        return Judgement(words, "unjudged", f"not measured: {ours}")
    tenth, whole = evidence.memory[ours]
    detail = f"{tenth / 1e6:.0f} MB, {whole / 1e6:.0f} MB"
    return _judged(words, whole <= tenth * FLAT, detail, whole / tenth)


def _judged(words: str, met: bool, detail: str, times: float) -> Judgement:
    return Judgement(words, "met" if met else "missed", f"{detail}: {times:.2f} times")


def _missing(words: str, evidence: Evidence, *needed: str) -> Judgement | None:
    if not evidence.asked.issuperset(needed):
        return Judgement(words, "not asked", "left out by --only")
    absent = [name for name in needed if name not in evidence.seconds]
    return Judgement(words, "unjudged", f"not measured: {', '.join(absent)}") if absent else None
