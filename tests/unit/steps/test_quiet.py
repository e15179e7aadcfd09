"""That nothing reaches an upstream, and who answers what no route names."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from strangler_proxy.running import SideCounts
from strangler_proxy.steps.gates import NothingReaches
from strangler_proxy.steps.gates.quiet import Listening
from strangler_proxy.steps.gates.traffic import Counts, Unobservable
from strangler_proxy.steps.parts import LeadDefault
from strangler_proxy.steps.parts.flip import FlipFailed
from strangler_proxy.steps.step import PartFailed, Verdict
from tests.unit.steps.fakes import FakePace

OLD, NEW = "monolith", "posts"


@dataclass
class Counting:
    """A proxy whose counts a test writes; None: it does not answer."""

    now: dict[str, dict[str, int]] | None = field(default_factory=dict)

    def __call__(self) -> Counts:
        if self.now is None:
            raise Unobservable("the proxy does not answer")
        return {
            route: {name: SideCounts(requests=number) for name, number in sides.items()}
            for route, sides in self.now.items()
        }


def gate(counts: Counting, least: int = 10) -> NothingReaches:
    return NothingReaches(OLD, 60.0, least, counts, patience_s=100.0)


def test_an_upstream_that_nobody_asks_for_long_enough_is_quiet() -> None:
    counts, pace = Counting({"list": {OLD: 7, NEW: 1}}), FakePace()
    trial = gate(counts).begin(pace)
    assert trial.look().verdict == Verdict.INCONCLUSIVE
    counts.now = {"list": {OLD: 7, NEW: 31}}
    early = trial.look()
    assert (early.verdict, "60 s to go" in early.text) == (Verdict.INCONCLUSIVE, True)
    pace.wait(60)
    passed = trial.look()
    assert passed.verdict == Verdict.PASSED
    assert passed.text == "no request of 30 reached it"


def test_one_request_fails_it_and_names_the_route() -> None:
    counts, pace = Counting({"list": {OLD: 7, NEW: 1}}), FakePace()
    trial = gate(counts).begin(pace)
    trial.look()
    pace.wait(6)
    counts.now = {"list": {OLD: 7, NEW: 90}, "(default)": {OLD: 2}}
    failed = trial.look()
    assert failed.verdict == Verdict.FAILED
    assert failed.text == "it was asked: (default) 2 times"


def test_what_was_on_its_way_begins_the_time_anew() -> None:
    counts, pace = Counting({"list": {OLD: 7, NEW: 1}}), FakePace()
    trial = gate(counts).begin(pace)
    trial.look()
    pace.wait(3)
    counts.now = {"list": {OLD: 8, NEW: 1}}
    assert trial.look().verdict == Verdict.INCONCLUSIVE
    counts.now = {"list": {OLD: 8, NEW: 61}}
    assert "60 s to go" in trial.look().text
    pace.wait(60)
    assert trial.look().verdict == Verdict.PASSED


def test_too_little_traffic_proves_nothing() -> None:
    counts, pace = Counting({"list": {NEW: 1}}), FakePace()
    trial = gate(counts).begin(pace)
    trial.look()
    pace.wait(70)
    counts.now = {"list": {NEW: 10}}
    assert trial.look().verdict == Verdict.INCONCLUSIVE


def test_a_proxy_that_began_anew_begins_the_time_anew() -> None:
    counts, pace = Counting({"list": {OLD: 7, NEW: 50}}), FakePace()
    trial = gate(counts).begin(pace)
    trial.look()
    pace.wait(70)
    counts.now = None
    assert trial.look().text == "the proxy does not answer"
    counts.now = {"list": {NEW: 20}}
    trial.look()
    counts.now = {"list": {NEW: 40}}
    assert "60 s to go" in trial.look().text


def quiet_for_two_hours(counts: Counting) -> tuple[NothingReaches, Listening]:
    """A gate that wants three, and what it has heard of them."""
    pace = FakePace()
    wanted = NothingReaches(OLD, 3 * 3600.0, 100, counts, patience_s=100.0)
    trial = wanted.begin(pace)
    trial.look()
    for _ in range(5):
        pace.wait(1800)
        counts.now["list"][NEW] += 10
        trial.look()
    return wanted, trial


def again(wanted: NothingReaches, trial: Listening, pace: FakePace) -> Listening:
    return wanted.resume(pace, json.loads(json.dumps(trial.noted())))


def test_a_later_run_goes_on_behind_the_last_whole_hour_of_quiet() -> None:
    counts, pace = Counting({"list": {OLD: 7, NEW: 1}}), FakePace()
    later = again(*quiet_for_two_hours(counts), pace)
    early = later.look()
    assert early.text == "no request of 40 reached it"
    pace.wait(3600)
    counts.now["list"][NEW] += 60
    assert later.look().verdict == Verdict.PASSED


def test_a_request_while_no_run_listened_begins_the_time_anew() -> None:
    counts, pace = Counting({"list": {OLD: 7, NEW: 1}}), FakePace()
    wanted, trial = quiet_for_two_hours(counts)
    counts.now["list"] = {OLD: 8, NEW: 90}
    later = again(wanted, trial, pace)
    later.look()
    counts.now["list"][NEW] += 100
    assert later.look().text == "no request of 100 reached it; 3 h to go"


def test_a_proxy_that_began_anew_while_no_run_listened_costs_nothing_that_was_noted() -> None:
    counts, pace = Counting({"list": {OLD: 7, NEW: 1}}), FakePace()
    wanted, trial = quiet_for_two_hours(counts)
    counts.now = {"list": {NEW: 3}}
    later = again(wanted, trial, pace)
    later.look()
    counts.now = {"list": {NEW: 103}}
    assert later.look().text == "no request of 140 reached it; 1 h to go"


def test_what_reached_it_through_a_proxy_that_began_anew_fails_it() -> None:
    counts, pace = Counting({"list": {NEW: 50}}), FakePace()
    trial = gate(counts).begin(pace)
    trial.look()
    pace.wait(30)
    counts.now = {"list": {OLD: 3, NEW: 20}}
    failed = trial.look()
    assert (failed.verdict, failed.text) == (Verdict.FAILED, "it was asked: list 3 times")


@pytest.mark.parametrize("asked", [1, 6])
def test_what_may_have_reached_it_through_a_proxy_that_began_anew_costs_all_the_time(
    asked: int,
) -> None:
    counts = Counting({"list": {OLD: 7, NEW: 1}})
    _, trial = quiet_for_two_hours(counts)
    counts.now = {"list": {OLD: asked, NEW: 3}}  # what other workers knew, or new ones
    trial.look()
    counts.now = {"list": {OLD: asked, NEW: 103}}
    assert trial.look().text == "no request of 100 reached it; 3 h to go"


@pytest.mark.parametrize("asked", [1, 7])
def test_a_request_through_a_proxy_that_began_anew_while_no_run_listened_costs_all_the_time(
    asked: int,
) -> None:
    counts, pace = Counting({"list": {OLD: 7, NEW: 1}}), FakePace()
    wanted, trial = quiet_for_two_hours(counts)
    counts.now = {"list": {OLD: asked, NEW: 3}}
    later = again(wanted, trial, pace)
    later.look()
    counts.now = {"list": {OLD: asked, NEW: 103}}
    assert later.look().text == "no request of 100 reached it; 3 h to go"


@dataclass
class Rest:
    to: str = OLD
    broken: bool = False

    def default(self) -> str:
        return self.to

    def lead_default(self, upstream: str) -> None:
        if self.broken:
            raise FlipFailed("no proxy runs")
        self.to = upstream


def test_whatever_no_route_names_is_led_there_and_back() -> None:
    rest = Rest()
    part = LeadDefault(NEW, rest)
    facts = part.prepare()
    for _ in range(2):
        part.execute(facts, FakePace())
    assert rest.to == NEW
    part.undo(facts, FakePace())
    assert rest.to == OLD
    rest.broken = True
    with pytest.raises(PartFailed, match="no proxy runs"):
        part.execute(facts, FakePace())
