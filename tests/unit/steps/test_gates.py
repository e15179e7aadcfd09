"""The gates over fakes of what they observe."""

import json
from dataclasses import replace

import pytest

from strangler_proxy.compare import Answer, Rules
from strangler_proxy.steps import Evidence, Verdict
from strangler_proxy.steps.gates import AnswersCompared, Health, Sample, Watch
from strangler_proxy.steps.gates.traffic import Unobservable
from tests.unit.steps.fakes import FakePace
from tests.unit.steps.test_judgement import side

PASSED, FAILED, INCONCLUSIVE = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE


def look(trial, pace, times, seconds=1.0):
    verdicts = []
    for _ in range(times):
        evidence = trial.look()
        verdicts.append(evidence.verdict)
        pace.wait(seconds)
    return verdicts


def health(answers, pace, within_s=30.0):
    said = iter(answers)
    return Health("http://x/health", lambda: next(said), times=3, within_s=within_s).begin(pace)


def test_health_passes_only_after_enough_good_answers_in_a_row():
    pace = FakePace()
    trial = health([None, None, "503", None, None, None], pace)
    assert look(trial, pace, 6) == [INCONCLUSIVE] * 5 + [PASSED]


def test_a_service_not_well_in_time_has_failed():
    pace = FakePace()
    trial = health(["refused"] * 4, pace, within_s=3)
    assert look(trial, pace, 4) == [INCONCLUSIVE] * 3 + [FAILED]


def sides(route_counts):
    return {"image": {"old": side(route_counts[0]), "new": side(route_counts[1])}}


class Recorder:
    """A judge that keeps the windows it is shown."""

    name, criteria = "judge", "as told"

    def __init__(self, verdict=PASSED):
        self.verdict, self.windows = verdict, []

    def judge(self, window):
        self.windows.append(window)
        return Evidence(self.verdict, "seen")


def watching(readings, judge, pace, seconds=3.0, **more):
    waiting = iter(readings)

    def counts():
        reading = next(waiting)
        if isinstance(reading, Exception):
            raise reading
        return reading

    watch = Watch("traffic", seconds, (judge,), counts, {"image": ("old", "new")}, 60, **more)
    return watch.begin(pace)


def test_a_watch_passes_when_its_time_is_over_and_judges_only_traffic_since_it_began():
    pace, judge = FakePace(), Recorder()
    trial = watching([sides((10, 5)), sides((12, 9)), sides((13, 9)), sides((20, 10))], judge, pace)
    assert look(trial, pace, 4) == [INCONCLUSIVE] * 3 + [PASSED]
    seen = [(w["image"].control.requests, w["image"].candidate.requests) for w in judge.windows]
    assert seen == [(0, 0), (2, 4), (3, 4), (10, 5)]
    assert judge.windows[-1]["image"].record.requests == 20


def test_a_watch_fails_as_soon_as_a_judge_has_seen_enough():
    pace = FakePace()
    assert watching([sides((1, 1))], Recorder(FAILED), pace).look().verdict is FAILED


def test_a_proxy_that_cannot_be_asked_is_no_evidence():
    pace = FakePace()
    trial = watching([Unobservable("no proxy"), sides((1, 1))], Recorder(), pace, seconds=0)
    assert look(trial, pace, 2) == [INCONCLUSIVE, PASSED]


def test_counts_that_shrink_begin_the_window_anew():
    pace, judge = FakePace(), Recorder()
    trial = watching([sides((90, 90)), sides((3, 2)), sides((9, 4))], judge, pace)
    assert look(trial, pace, 3) == [INCONCLUSIVE] * 3
    assert judge.windows[1]["image"].candidate.requests == 0
    assert judge.windows[2]["image"].candidate.requests == 2


def test_a_route_changed_from_behind_is_held_against_its_own_past():
    pace, judge = FakePace(), Recorder()
    readings = [{"post": {"old": side(100, 2)}}, {"post": {"old": side(130, 9)}}]
    trial = watching(readings, judge, pace, affected={"post": "old"})
    look(trial, pace, 2)
    seen = judge.windows[-1]["post"]
    assert (seen.candidate.requests, seen.candidate.failures) == (30, 7)
    assert (seen.control.requests, seen.record.requests, seen.record.failures) == (0, 100, 2)


def test_a_watch_remembers_the_control_when_the_proxy_begins_anew():
    pace, judge = FakePace(), Recorder()
    trial = watching([sides((90, 0)), sides((0, 2)), sides((0, 9))], judge, pace)
    look(trial, pace, 3)
    records = [w["image"].record.requests for w in judge.windows]
    assert records == [90, 90, 90]


def test_a_later_run_remembers_the_control_of_a_proxy_that_began_anew_meanwhile():
    pace, judge = FakePace(), Recorder()
    trial = watching([sides((90, 0)), sides((0, 2)), sides((0, 9))], judge, pace)
    assert trial.noted() == {}
    trial.look()
    noted = json.loads(json.dumps(trial.noted()))
    later = trial.watch.resume(pace, noted)
    look(later, pace, 2)
    (seen,) = [w["image"] for w in judge.windows[2:]]
    assert (seen.record.requests, seen.candidate.requests) == (90, 7)
    assert later.noted() == noted


def comparing(control, candidate, targets=("/a", "/b"), minimum=2):
    return AnswersCompared(
        lambda: iter([Sample("GET", target) for target in targets]),
        control,
        candidate,
        Rules(),
        minimum,
        patience_s=10,
    ).begin(FakePace())


def echo(sample):
    return Answer(200, (), sample.target.encode())


def last(trial, looks=6):
    for _ in range(looks):
        evidence = trial.look()
        if evidence.verdict is not INCONCLUSIVE:
            break
    return evidence


def test_enough_different_samples_answered_alike_pass():
    evidence = last(comparing(echo, echo))
    assert (evidence.verdict, evidence.numbers) == (PASSED, {"alike": 2})


def test_the_same_sample_again_is_no_new_evidence():
    evidence = last(comparing(echo, echo, targets=("/a", "/a"), minimum=2), looks=20)
    assert (evidence.verdict, evidence.text) == (INCONCLUSIVE, "1 of 2 samples alike")


def test_a_difference_that_stays_fails_and_is_shown():
    evidence = last(comparing(echo, lambda sample: Answer(200, (), b"other")))
    assert evidence.verdict is FAILED
    assert evidence.text.startswith("GET /a: real difference at body")


def settling(candidate, settle_s=2.0):
    trial = comparing(echo, candidate, targets=("/a", "/b"), minimum=2)
    return replace(trial.gate, settle_s=settle_s).begin(trial.pace), trial.pace


def test_a_copy_that_catches_up_within_its_time_is_alike():
    late = [b"old"] * 3  # asked twice at the first look, once more at the next

    def behind(sample):
        return Answer(
            200, (), late.pop() if sample.target == "/a" and late else sample.target.encode()
        )

    trial, pace = settling(behind)
    verdicts = look(trial, pace, 8, seconds=0.5)
    assert FAILED not in verdicts
    assert verdicts[-1] is PASSED
    assert not late


def test_one_that_never_catches_up_fails_when_its_time_is_over_and_not_before():
    def stuck(sample):
        return Answer(200, (), b"old" if sample.target == "/a" else sample.target.encode())

    trial, pace = settling(stuck)
    verdicts = look(trial, pace, 5, seconds=0.5)
    assert verdicts == [INCONCLUSIVE] * 4 + [FAILED]


def test_a_candidate_that_does_not_answer_fails_and_a_control_that_does_not_is_no_evidence():
    def silent(sample):
        raise Unobservable("refused")

    assert last(comparing(echo, silent)).verdict is FAILED
    control_down = last(comparing(silent, echo))
    assert (control_down.verdict, control_down.text) == (
        INCONCLUSIVE,
        "0 of 2 samples alike; refused",
    )


def test_what_the_control_answers_differently_each_time_is_not_held_against_the_candidate():
    answers = iter(range(100))

    def changing(sample):
        return Answer(200, (("X-Count", str(next(answers))),), b"")

    assert last(comparing(changing, changing)).verdict is PASSED


def test_requests_that_may_change_something_are_never_sampled():
    with pytest.raises(ValueError, match="POST may change something"):
        Sample("POST", "/upload")
