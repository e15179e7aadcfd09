"""The long watch at the end of a step: judged piece by piece, over however many runs."""

from __future__ import annotations

import json

import pytest

from strangler_proxy.steps import Evidence, Verdict
from strangler_proxy.steps.duration import spelled
from strangler_proxy.steps.gates import Soak, Watch
from strangler_proxy.steps.gates.traffic import Unobservable
from strangler_proxy.steps.judgement import ErrorLimit, P99Limit
from tests.unit.steps.fakes import FakePace
from tests.unit.steps.test_judgement import side

PASSED, FAILED, INCONCLUSIVE = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE


class Proxy:
    """Counts requests as told; the control has answered 500 before the candidate took over."""

    def __init__(self) -> None:
        self.control, self.candidate = side(500), side(0)
        self.away = False

    def counts(self):
        if self.away:
            raise Unobservable("no proxy runs")
        return {"list": {"old": self.control, "new": self.candidate}}

    def serve(self, requests: int, failures: int = 0) -> None:
        self.candidate += side(requests, failures)

    def begin_anew(self) -> None:
        self.control = self.candidate = side(0)


class Site:
    """A soak of a day in pieces of an hour, looked at every minute."""

    def __init__(self) -> None:
        self.proxy, self.pace = Proxy(), FakePace()
        judges = (ErrorLimit(0.01, {"list": 300}), P99Limit(2.0, 3.0, {"list": 300}))
        watch = Watch("traffic", 1.0, judges, self.proxy.counts, {"list": ("old", "new")}, 60.0)
        self.gate = Soak(watch, 24 * 3600.0, 3600.0)

    def soak(self, trial, hours: float, requests: int = 20, failures: int = 0) -> Evidence:
        """Look for so long, while so many requests a minute are answered."""
        evidence = trial.look()
        for _ in range(round(hours * 60)):
            if evidence.verdict is not INCONCLUSIVE:
                break
            self.proxy.serve(requests, failures)
            self.pace.wait(60)
            evidence = trial.look()
        return evidence

    def again(self, trial):
        """What a later run makes of what is in the ledger."""
        return self.gate.resume(FakePace(), json.loads(json.dumps(trial.noted())))


@pytest.fixture
def site() -> Site:
    return Site()


def test_it_passes_when_every_piece_was_well_and_says_how_far_it_is(site: Site) -> None:
    trial = site.gate.begin(site.pace)
    early = site.soak(trial, 3.5)
    assert early.verdict is INCONCLUSIVE
    assert early.text.startswith("3 h 30 min of 1 d soaked; ")
    passed = site.soak(trial, 24)
    assert passed.verdict is PASSED
    assert site.pace.time == pytest.approx(24 * 3600, abs=3600)


def test_what_goes_wrong_in_the_last_hour_is_not_hidden_by_the_hours_before(site: Site) -> None:
    trial = site.gate.begin(site.pace)
    assert site.soak(trial, 23).verdict is INCONCLUSIVE
    failed = site.soak(trial, 0.5, requests=20, failures=2)
    assert failed.verdict is FAILED
    assert "worse beyond chance" in failed.text
    assert 20 * 60 * 23 * 0.01 > 2 * 30  # over all the hours it would be tolerated


def test_a_quiet_night_is_one_long_piece(site: Site) -> None:
    trial = site.gate.begin(site.pace)
    site.soak(trial, 2)
    night = site.soak(trial, 9, requests=0)
    assert night.verdict is INCONCLUSIVE
    assert night.text.startswith("11 h")
    assert site.soak(trial, 13.5).verdict is PASSED


def test_a_later_run_goes_on_behind_the_last_piece(site: Site) -> None:
    trial = site.gate.begin(site.pace)
    site.soak(trial, 20.5)
    later = site.again(trial)
    site.pace = later.pace
    assert later.look().text.startswith("20 h")
    assert site.soak(later, 5).verdict is PASSED
    assert site.pace.time <= 4.1 * 3600
    assert site.again(later).look().verdict is PASSED


def test_a_proxy_that_begins_anew_costs_one_piece_and_the_control_is_remembered(
    site: Site,
) -> None:
    trial = site.gate.begin(site.pace)
    site.soak(trial, 2.5)
    site.proxy.begin_anew()
    evidence = trial.look()
    assert evidence.text.startswith("2 h of")
    later = site.again(trial)
    assert later.known["list"].requests == 500
    assert site.soak(trial, 30).verdict is PASSED


@pytest.mark.parametrize(("failures", "verdict"), [(0, PASSED), (1, FAILED)])
def test_with_nothing_known_of_the_control_it_counts_as_one_that_never_failed(
    site: Site, failures: int, verdict: Verdict
) -> None:
    site.proxy.begin_anew()
    trial = site.gate.begin(site.pace)
    assert site.soak(trial, 30, requests=20, failures=failures).verdict is verdict


def test_a_proxy_that_cannot_be_asked_is_no_evidence_and_nothing_is_noted(site: Site) -> None:
    site.proxy.away = True
    trial = site.gate.begin(site.pace)
    evidence = trial.look()
    assert (evidence.verdict, evidence.text) == (INCONCLUSIVE, "no proxy runs")
    assert trial.noted() == {}
    site.proxy.away = False
    assert site.soak(trial, 25).verdict is PASSED


def test_a_short_soak_is_one_piece(site: Site) -> None:
    short = Soak(site.gate.watch, 120.0, 60.0)
    assert short.criteria.startswith("2 min: at most")
    assert site.gate.criteria.startswith("1 d, each 1 h by itself: at most")
    assert site.soak(short.begin(site.pace), 1, requests=200).verdict is PASSED
    assert site.pace.time == 120


SPELLED = [(0.5, "0.5 s"), (60, "60 s"), (3661, "1 h 1 min"), (86400, "1 d"), (90000, "1 d 1 h")]


@pytest.mark.parametrize(("seconds", "told"), SPELLED)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, told: str) -> None:
    assert spelled(seconds) == told
