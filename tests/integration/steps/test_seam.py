"""A seam switched through the file that the application watches, and switched back."""

import json

import pytest

from strangler_proxy.steps import PartFailed
from strangler_proxy.steps.pace import RealPace
from strangler_proxy.steps.parts import SwitchSeam


class Application:
    """Reports the seam as the file says, or as it is told to."""

    def __init__(self, file):
        self.file, self.says = file, None

    def report(self):
        if self.says is not None:
            return self.says or None
        content = json.loads(self.file.read_text()) if self.file.exists() else {}
        return content.get("image", "local")


@pytest.fixture
def application(tmp_path):
    return Application(tmp_path / "seams.json")


def seam(application):
    return SwitchSeam("image", "remote", application.file, application.report, within_s=0.2)


@pytest.mark.parametrize("before", [None, {}, {"image": "local"}, {"auth": "remote"}])
def test_the_seam_is_switched_and_switched_back_with_other_keys_kept(application, before):
    if before is not None:
        application.file.write_text(json.dumps(before))
    part, pace = seam(application), RealPace()
    facts = part.prepare()
    for _ in range(2):
        part.execute(facts, pace)
        assert json.loads(application.file.read_text()) == {**(before or {}), "image": "remote"}
    assert part.holds(facts)
    for _ in range(2):
        part.undo(facts, pace)
        assert json.loads(application.file.read_text()) == (before or {})
    assert not part.holds(facts)


def test_undoing_a_switch_that_was_never_made_writes_nothing(application):
    part = seam(application)
    part.undo(part.prepare(), RealPace())
    assert not application.file.exists()


def test_an_application_that_does_not_follow_is_a_failure_that_says_what_it_reports(application):
    application.says = "local"
    with pytest.raises(PartFailed, match="application reports 'local'"):
        seam(application).execute({"before": None}, RealPace())


def test_an_application_that_is_down_does_not_stop_the_undo(application):
    part = seam(application)
    facts = part.prepare()
    part.execute(facts, RealPace())
    application.says = ""
    part.undo(facts, RealPace())
    assert json.loads(application.file.read_text()) == {}


def test_an_application_that_is_silent_once_is_no_less_waited_for(application):
    said = iter([None, *["remote"] * 50])
    part = SwitchSeam("image", "remote", application.file, lambda: next(said), within_s=0.2)
    application.file.write_text('{"image": "remote"}')
    with pytest.raises(PartFailed, match="application reports 'remote'"):
        part.undo({"before": None}, RealPace())


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_seams_file_that_is_not_an_object_is_refused_and_left_alone(application, content):
    application.file.write_text(content)
    with pytest.raises(PartFailed, match=r"seams\.json"):
        seam(application).prepare()
    assert application.file.read_text() == content
