"""What the proxy must reach beside its peers, and whether it did. Pure.

A target whose peer was not measured is never met: it is unjudged, and the run says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["met", "missed", "unjudged", "not asked"]

STRANGLER = "strangler"
UPLOAD_PEAK_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Bound:
    """The proxy's CPU per request may be at most `factor` times this peer's."""

    peer: str
    factor: float
    words: str


BOUNDS = (
    Bound("envoy", 1.0, "CPU per request below Envoy's"),
    Bound("traefik", 1.0, "CPU per request below Traefik's"),
    Bound("caddy", 1.0, "CPU per request below Caddy's"),
    Bound("haproxy", 1.8, "CPU per request at most 1.8 times HAProxy's"),
    Bound("fastapi", 1 / 40, "CPU per request at least 40 times below FastAPI + httpx's"),
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run found out; a peer that is absent from `cpu_us` was not measured."""

    asked: frozenset[str]
    cpu_us: Mapping[str, float]
    upload_peak_bytes: int | None
    errors: int | None  # failed requests through the proxy, all workloads


@dataclass(frozen=True, slots=True)
class Judgement:
    """A target, what became of it, and the figures that say so."""

    target: str
    verdict: Verdict
    detail: str


def judge(evidence: Evidence) -> list[Judgement]:
    """Judge every target once, in a fixed order."""
    return [
        *(_judge_bound(bound, evidence) for bound in BOUNDS),
        _judge_upload(evidence),
        _judge_errors(evidence),
    ]


def exit_code(judgements: list[Judgement]) -> int:
    """1 when a target is missed, else 3 when one that was asked for was unjudged, else 0."""
    verdicts = {judgement.verdict for judgement in judgements}
    if "missed" in verdicts:
        return 1
    return 3 if "unjudged" in verdicts else 0


def _judge_bound(bound: Bound, evidence: Evidence) -> Judgement:
    needed = {STRANGLER, bound.peer}
    if not needed <= evidence.asked:
        return Judgement(bound.words, "not asked", "left out by --only")
    absent = sorted(needed - evidence.cpu_us.keys())
    if absent:
        return Judgement(bound.words, "unjudged", f"not measured: {', '.join(absent)}")
    ours, theirs = evidence.cpu_us[STRANGLER], evidence.cpu_us[bound.peer]
    # "Below" is strict; "at most" and "at least" admit equality.
    met = ours < theirs if bound.factor == 1.0 else ours <= theirs * bound.factor
    if bound.factor < 1:
        detail = f"{ours:.1f} µs, {theirs:.1f} µs: {theirs / ours:.1f} times less"
    else:
        detail = f"{ours:.1f} µs, {theirs:.1f} µs: {ours / theirs:.2f} times"
    return Judgement(bound.words, "met" if met else "missed", detail)


def _judge_upload(evidence: Evidence) -> Judgement:
    words = "memory under 100 MB while 1 GiB is uploaded"
    if STRANGLER not in evidence.asked:
        return Judgement(words, "not asked", "left out by --only")
    if evidence.upload_peak_bytes is None:
        return Judgement(words, "unjudged", "the upload through strangler was not measured")
    met = evidence.upload_peak_bytes < UPLOAD_PEAK_BYTES
    return Judgement(
        words, "met" if met else "missed", f"peak {evidence.upload_peak_bytes / 1e6:.1f} MB"
    )


def _judge_errors(evidence: Evidence) -> Judgement:
    words = "not one failed request through strangler"
    if STRANGLER not in evidence.asked:
        return Judgement(words, "not asked", "left out by --only")
    if evidence.errors is None:
        return Judgement(words, "unjudged", "strangler was not measured")
    return Judgement(words, "missed" if evidence.errors else "met", f"{evidence.errors} failed")
