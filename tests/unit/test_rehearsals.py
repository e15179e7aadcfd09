"""The rehearsals that `--help` shows can be typed as they stand, and end within minutes."""

import argparse
import importlib
import shlex

import pytest

from scripts.walking.steps import STEPS, StepScript
from strangler_proxy.steps.options import add_options, choose
from strangler_proxy.steps.script import Script


def rehearsal(script: Script) -> list[str]:
    """The words behind the script's name in the one example that sets how long it watches."""
    lines = script.examples.replace("\\\n", "").splitlines()
    (line,) = (line for line in lines if "--watch-s" in line)
    return shlex.split(line)[1:]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_rehearsal_is_understood_and_waits_for_minutes_and_not_for_hours(
    step: StepScript,
) -> None:
    script = importlib.import_module(step.path.removesuffix(".py").replace("/", ".")).SCRIPT
    parser = argparse.ArgumentParser()
    parser.add_argument("--execute", action="store_true", required=True)
    add_options(parser, script.options)
    given = vars(parser.parse_args(rehearsal(script)))
    options = choose(script.options, {}, given)
    assert options.watch_s <= 10
    assert options.patience_s <= 120
    assert getattr(options, "soak_s", 0) <= 10
    if step.name in {"image", "auth", "posts"}:  # the others have no canary
        # At a small share too few of the traffic's callers come in a few seconds.
        assert options.percents[0] >= 25
