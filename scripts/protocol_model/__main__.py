"""Puts all questions to spin, as many at once as there are processors, and tells what came out."""

import argparse
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from scripts.protocol_model.questions import BROKEN, CLAIMS, LARGE, USUAL, Question
from scripts.protocol_model.spin import Bounds, ModelBroken, Outcome, SpinMissing, ask, needed

MEMORY_MB = 4_000
LARGE_BOUNDS = Bounds(seconds=1_800, megabytes=8_000)


def main() -> int:
    """Return 0 if all came out as it must, 1 if something did not, 2 if spin or gcc is missing."""
    parser = argparse.ArgumentParser(
        prog="scripts/check --model", description="Check the handover's protocol with spin."
    )
    parser.add_argument("--large", action="store_true", help="the long searches, one after another")
    large = parser.parse_args().large
    try:
        needed()
        outcomes = _ask_large() if large else _ask_usual()
        failed = [outcome for outcome in map(_told, outcomes) if not outcome.as_it_must]
    except SpinMissing as missing:
        print(f"model: {missing}", file=sys.stderr)
        return 2
    except ModelBroken as broken:
        print(f"model: {broken}", file=sys.stderr)
        return 1
    for outcome in failed:
        print(f"\n{outcome.question.name}\n{outcome.trail}", file=sys.stderr)
    print(f"model: {len(failed)} not as they must be" if failed else "model: all as it must be")
    return 1 if failed else 0


def _ask_usual() -> Iterable[Outcome]:
    at_once = os.cpu_count() or 1
    bounds = Bounds(megabytes=MEMORY_MB // at_once)
    with ThreadPoolExecutor(at_once) as pool:
        yield from pool.map(lambda question: ask(question, bounds), (*USUAL, *CLAIMS, *BROKEN))


def _ask_large() -> Iterable[Outcome]:
    return (ask(question, LARGE_BOUNDS) for question in LARGE)


def _told(outcome: Outcome) -> Outcome:
    print(f"{_verdict(outcome.question, outcome):<11} {outcome.question.name}", flush=True)
    figures = f"{outcome.states:,} states, {outcome.seconds:.1f} s, {outcome.megabytes:,.0f} MB"
    print(f"{'':<11} {figures}{f'; {outcome.fault}' if outcome.fault else ''}", flush=True)
    return outcome


def _verdict(question: Question, outcome: Outcome) -> str:
    if outcome.as_it_must:
        return "holds" if question.refuted_by is None else "caught"
    return "UNFINISHED" if outcome.unfinished and not outcome.fault else "WRONG"


if __name__ == "__main__":
    sys.exit(main())
