"""Who is started again, when, and who is left alone."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.local_site.keeper import (
    LONGEST_PAUSE_S,
    STEADY_S,
    Act,
    Care,
    Keeper,
    attend,
    pause_s,
    tried,
)
from scripts.moved import View
from scripts.processes import stop_services
from strangler_proxy.journal import LedgerError
from strangler_proxy.steps.pace import RealPace
from strangler_proxy.steps.parts import StartProcess

SLEEPS = (sys.executable, "-c", "import time; print('at work', flush=True); time.sleep(60)")
DEADLINE_S = 30


def test_an_end_is_told_first_and_the_start_comes_after_a_pause() -> None:
    act, care = attend(Care(), ended=True, wanted=True, now=100)
    assert act is Act.TELL
    assert attend(care, ended=True, wanted=True, now=100.9) == (Act.NOTHING, care)
    assert attend(care, ended=True, wanted=True, now=101) == (Act.START, care)


def test_pauses_grow_up_to_a_bound_while_it_ends_again_and_again() -> None:
    care, now, pauses = Care(), 100.0, []
    for _ in range(9):
        _, care = attend(care, ended=True, wanted=True, now=now)
        assert care.due is not None
        pauses.append(care.due - now)
        care = tried(care, care.due)
        now = care.last + 1
        _, care = attend(care, ended=False, wanted=True, now=now)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert pause_s(10**6) == LONGEST_PAUSE_S


def test_a_start_that_failed_is_tried_again_without_being_told_as_an_end() -> None:
    care = tried(Care(due=100), now=105)
    assert attend(care, ended=True, wanted=True, now=106) == (Act.NOTHING, care)
    assert attend(care, ended=True, wanted=True, now=107) == (Act.START, care)


def test_who_has_lived_long_since_is_well_again() -> None:
    care = tried(Care(tries=5), now=100)
    assert attend(care, ended=False, wanted=True, now=100 + STEADY_S) == (Act.NOTHING, Care())


def test_who_is_not_wanted_is_left_alone_and_forgotten() -> None:
    care = Care(tries=3, last=90, due=95)
    assert attend(care, ended=True, wanted=False, now=100) == (Act.NOTHING, Care())


class Scene:
    """A keeper with one real program, whose site a test changes between two looks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.part = StartProcess("worker", SLEEPS, folder, None, folder)
        self.view: Callable[[], View] = lambda: self.seen()
        self.now = 1000.0
        self.keeper = Keeper(lambda: self.view(), self.said.append, RealPace(), lambda: self.now)

    def seen(self, needed: bool = True, in_hand: bool = False) -> View:
        return View(
            (self.part,) if needed else (), frozenset({"worker"} if in_hand else frozenset())
        )

    def kill(self) -> None:
        pid = self.part.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + DEADLINE_S
        while self.part.pid() is not None:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def tick(self, after_s: float = 0.0) -> None:
        self.now += after_s
        self.keeper.tick()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    scene.part.execute({}, RealPace())
    scene.tick()
    assert scene.said == []
    scene.kill()
    yield scene
    stop_services(tmp_path)


def test_a_program_that_ends_is_told_with_its_last_lines_and_runs_again(scene: Scene) -> None:
    scene.tick(1)
    assert "worker has ended by itself and is started again in 1 s" in scene.said[0]
    assert "at work" in scene.said[0]
    scene.tick(1)
    assert scene.said[1:] == ["worker runs again"]
    assert scene.part.pid() is not None
    scene.tick(1)
    assert len(scene.said) == 2


def test_who_is_needed_no_more_or_is_in_the_hands_of_a_step_is_not_started(scene: Scene) -> None:
    for needed, in_hand in ((False, False), (True, True)):
        scene.view = lambda n=needed, h=in_hand: scene.seen(n, h)  # type: ignore[misc]
        for _ in range(3):
            scene.tick(100)
    assert scene.said == []
    assert scene.part.pid() is None
    scene.view = scene.seen  # the step has ended, and its service is needed
    for _ in range(3):
        scene.tick(1)
    assert scene.said[-1] == "worker runs again"


def test_what_an_undo_made_needless_in_that_very_moment_is_stopped_again(scene: Scene) -> None:
    scene.tick(1)
    scene.tick(1)
    assert scene.part.pid() is not None
    scene.view = lambda: scene.seen(needed=False, in_hand=True)
    scene.tick(1)
    assert scene.part.pid() is not None  # the step's business
    scene.view = lambda: scene.seen(needed=False)
    scene.tick(1)
    assert scene.part.pid() is None
    assert "needless" in scene.said[-1]


def test_a_program_that_cannot_be_started_is_told_and_tried_again(scene: Scene) -> None:
    scene.part = StartProcess("worker", ("false",), scene.folder, None, scene.folder)
    for _ in range(3):
        scene.tick(1)
    assert "the worker service ended" in scene.said[1]
    assert scene.said[1].endswith("tried again in 2 s")
    scene.part = StartProcess("worker", SLEEPS, scene.folder, None, scene.folder)
    scene.tick(2)
    assert scene.said[-1] == "worker runs again"


def test_a_step_that_begins_while_a_program_is_asked_how_it_is_keeps_it_from_being_started(
    scene: Scene,
) -> None:
    def asked() -> str:
        scene.view = lambda: scene.seen(in_hand=True)
        return "does not answer"

    scene.part = StartProcess("worker", SLEEPS, scene.folder, asked, scene.folder)
    for _ in range(3):
        scene.tick(10)
    assert len(scene.said) == 1
    assert scene.part.pid() is None


def test_a_step_that_begins_while_one_is_started_keeps_the_next_from_being_started(
    scene: Scene,
) -> None:
    other = StartProcess("other", SLEEPS, scene.folder, None, scene.folder)

    def view() -> View:
        begun = scene.part.pid() is not None
        return View((scene.part, other), frozenset({"other"} if begun else ()))

    scene.view = view
    for _ in range(4):
        scene.tick(10)
    assert scene.part.pid() is not None
    assert other.pid() is None


def test_who_answers_from_elsewhere_is_left_alone_and_told_once(scene: Scene) -> None:
    scene.part = StartProcess("worker", SLEEPS, scene.folder, lambda: None, scene.folder)
    for _ in range(9):
        scene.tick(10)
    assert [said for said in scene.said if "left alone" in said] == scene.said[1:]
    assert len(scene.said) == 2
    assert scene.part.pid() is None


def test_files_that_cannot_be_read_are_told_once_and_stop_nothing(scene: Scene) -> None:
    def broken() -> View:
        raise LedgerError("image.ledger.jsonl:3 is damaged")

    scene.view = broken
    for _ in range(3):
        scene.tick(1)
    assert len(scene.said) == 1
    assert "image.ledger.jsonl:3 is damaged" in scene.said[0]
    scene.view = scene.seen
    for _ in range(3):
        scene.tick(1)
    assert scene.said[-1] == "worker runs again"
