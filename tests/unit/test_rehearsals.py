"""The rehearsals that `--help` shows can be typed as they stand, and end within minutes."""

import argparse
import importlib
import shlex
from dataclasses import fields
from pathlib import Path
from typing import cast

import pytest

from scripts.processes import ROOT
from scripts.walking.steps import STEPS, StepScript
from strangler_proxy.steps.options import add_options, choose
from strangler_proxy.steps.script import Script

PAGES: list[Path] = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def script_of(step: StepScript) -> Script:
    module = importlib.import_module(step.path.removesuffix(".py").replace("/", "."))
    return cast(Script, module.SCRIPT)


def rehearsals(text: str, path: str) -> list[list[str]]:
    """The command lines of this script that set how long it watches."""
    lines = text.replace("\\\n", "").splitlines()
    words = [shlex.split(line) for line in lines if "--watch-s" in line and path in line]
    return [each for each in words if each[0] == path]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_rehearsal_is_understood_and_waits_for_minutes_and_not_for_hours(
    step: StepScript,
) -> None:
    script = script_of(step)
    (line,) = rehearsals(script.examples, step.path)
    parser = argparse.ArgumentParser()
    parser.add_argument("--execute", action="store_true", required=True)
    add_options(parser, script.options)
    given = vars(parser.parse_args(line[1:]))
    options = choose(script.options, {}, given)
    assert options.watch_s <= 10
    assert options.patience_s <= 120
    assert getattr(options, "soak_s", 0) <= 10
    if step.name in {"image", "auth", "posts"}:  # the others have no canary
        # At a small share too few of the traffic's callers come in a few seconds.
        assert options.percents[0] >= 25


def test_a_canary_is_offered_by_the_steps_that_have_one() -> None:
    offered = {step.name: {each.name for each in fields(script_of(step).options)} for step in STEPS}
    assert {name for name in offered if "percents" in offered[name]} == {"image", "auth", "posts"}
    assert not offered["payment"] & {"percents", "min_requests"}  # it has no reads to send over


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_pages_show_the_rehearsal_that_help_shows(step: StepScript) -> None:
    shown = rehearsals(script_of(step).examples, step.path)
    for page in PAGES:
        found = rehearsals(page.read_text(), step.path)
        assert found in (shown, []), page
    assert rehearsals((ROOT / "docs" / "steps.md").read_text(), step.path) == shown
