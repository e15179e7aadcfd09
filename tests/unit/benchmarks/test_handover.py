from dataclasses import replace

import pytest

from scripts.benchmarks.handover.targets import Evidence, judge

SECONDS = {
    "pipe": 5.0,
    "pgloader": 15.0,
    "strangler": 10.0,
    "pgloader-sqlite": 12.0,
    "strangler-sqlite": 8.0,
}
GOOD = Evidence(
    asked=frozenset(SECONDS),
    seconds=SECONDS,
    memory={"strangler": (80, 100), "strangler-sqlite": (80, 80)},
)


def verdicts(evidence: Evidence) -> list[str]:
    return [judgement.verdict for judgement in judge(evidence)]


def test_bounds_are_met_when_they_are_just_reached() -> None:
    assert verdicts(GOOD) == ["met"] * 5


@pytest.mark.parametrize(
    ("slower", "place"), [("strangler", 0), ("strangler-sqlite", 1), ("strangler", 2)]
)
def test_a_copy_that_is_too_slow_is_missed(slower, place) -> None:
    seconds = {**SECONDS, slower: SECONDS[slower] + 0.1}
    assert verdicts(replace(GOOD, seconds=seconds))[place] == "missed"


def test_memory_that_grows_with_the_table_is_missed() -> None:
    grown = replace(GOOD, memory={"strangler": (80, 101), "strangler-sqlite": (80, 800)})
    assert verdicts(grown)[3:] == ["missed", "missed"]


def test_without_pgloader_nothing_is_said_to_be_faster_than_it() -> None:
    seconds = {name: value for name, value in SECONDS.items() if "pgloader" not in name}
    assert verdicts(replace(GOOD, seconds=seconds))[:3] == ["unjudged", "unjudged", "met"]


def test_what_was_not_asked_for_is_not_judged() -> None:
    assert set(verdicts(Evidence(frozenset({"pipe"}), {"pipe": 5.0}, {}))) == {"not asked"}
