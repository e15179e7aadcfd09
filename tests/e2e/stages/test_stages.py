"""The blog is the same to its users at every stage of its way, there, back and there again."""

from __future__ import annotations

import pytest

from scripts.walking.steps import STEPS
from tests.e2e.stages.conftest import Stages

pytestmark = [pytest.mark.walk, pytest.mark.timeout(1200)]


THERE_AND_BACK = [script for script in STEPS if script.undoable]


def test_the_blog_is_accepted_after_each_step_its_undo_and_a_restart(stages: Stages) -> None:
    for script in THERE_AND_BACK:
        stages.step(script, "--execute")
        stages.accept(f"{script.name} executed")
        stages.step(script, "--undo")
        stages.accept(f"{script.name} undone")
        stages.step(script, "--execute")
    stages.restart()
    stages.accept("restarted")
    (retire,) = (script for script in STEPS if not script.undoable)
    stages.step(retire, "--execute")
    stages.accept("retired")
