"""What is done to the blog while traffic flows, in order: measure, steps, deaths, the way back."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from scripts.processes import Fleet
from scripts.walking.cast import Cast, Part
from scripts.walking.client import Scene
from scripts.walking.crew import Crew
from scripts.walking.killing import (
    DOWN_S,
    VICTIMS,
    Death,
    Victim,
    is_back,
    killed,
    start_again,
    wait_for,
)
from scripts.walking.plan import Plan
from scripts.walking.report import AFTER, BEFORE, StepRun
from scripts.walking.steps import STEPS, StepScript, run_step
from scripts.walking.telling import Teller

WATCH_S = 0.2
# What a copy may be behind while a step moves data: the tail looks ten times a second.
STALE_S = 3.0


@dataclass(slots=True)
class Performance:
    """One walk's acts; `steps`, `deaths` and the names of steps that are `done` tell of it."""

    plan: Plan
    scene: Scene
    cast: Cast
    fleet: Fleet
    environ: Mapping[str, str]
    routes: Path
    teller: Teller
    clock: Callable[[], float]
    steps: list[StepRun] = field(default_factory=list)
    deaths: list[Death] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    _everyone: Crew | None = None

    def play(self) -> None:
        """Everything that the plan asks for; a step that fails ends it."""
        with traffic(self.scene, self.cast.everyone) as self._everyone:
            uploaders = self.plan.uploaders
            self.teller.phase(f"traffic, with {uploaders} clients uploading large pictures")
            self._measure(BEFORE)
            chosen = [script for script in STEPS if script.name in self.plan.steps]
            carved = [script for script in chosen if script.undoable]
            if (
                all(map(self._walk, carved))
                and self._kill_and_go_back(carved)
                and all(map(self._retire, chosen[len(carved) :]))
            ):
                self.teller.phase("let every client finish")

    def _walk(self, script: StepScript) -> bool:
        ways = ["--execute", *(["--undo", "--execute"] if self.plan.undo_each else [])]
        if not all(self._step(script, way) for way in ways):
            return False
        if script is STEPS[0]:
            self.teller.phase("the same traffic after the step")
            self._measure(AFTER)
        return True

    def _kill_and_go_back(self, chosen: list[StepScript]) -> bool:
        if self.plan.kill:
            self._kill_each()
        if not self.plan.undo:
            return True
        if not all(self._step(script, "--undo") for script in reversed(chosen)):
            return False
        self.teller.phase("the same traffic after going back")
        self._measure("undone")
        return True

    def _retire(self, script: StepScript) -> bool:
        """For good: the monolith is stopped, and nobody notices."""
        if not self._step(script, "--execute"):
            return False
        self.teller.phase("the monolith is stopped; the same traffic without it")
        self.fleet.stop_one("monolith")
        self._measure("retired")
        return True

    def _meanwhile(self, note: str = "") -> None:
        self.fleet.check()
        if self._everyone is not None:
            self._everyone.check()
        self.teller.note(note)

    def _measure(self, phase: str) -> None:
        self.scene.phase = phase
        with traffic(self.scene, self.cast.measuring()) as measuring:
            until = self.clock() + self.plan.seconds / 2
            while self.clock() < until:
                self._meanwhile()
                measuring.check()
                time.sleep(WATCH_S)

    def _step(self, script: StepScript, way: str) -> bool:
        self.teller.phase(f"{script.path} {way}, while traffic flows")
        watch_s = min(4.0, max(1.0, self.plan.seconds / 10))
        self.scene.phase = f"step {script.name} {way}"
        self.scene.stale_s = STALE_S if script.data else 0.0
        log = self.fleet.logs / f"{script.shown}.log"
        run = run_step(script, way, watch_s, self.routes, log, self.environ, self._meanwhile)
        self.scene.stale_s = 0.0
        self.steps.append(run)
        done = run.exit_code == 0
        change = self.done.add if done and way == "--execute" else self.done.discard
        change(script.name)
        return done

    def _kill_each(self) -> None:
        """One part after the other, with nobody to help but who starts it again."""
        run_dir = self.routes.parent / ".strangler"
        for victim in VICTIMS:
            if (run_dir / f"{victim.name}.pid").exists():
                self._kill(run_dir, victim)

    def _kill(self, run_dir: Path, victim: Victim) -> None:
        self.teller.phase(f"{victim.name} is killed, while traffic flows")
        before = self.scene.figures.excused
        self.scene.phase, self.scene.down = f"without {victim.name}", victim.depend
        how = killed(run_dir, victim)
        self._let_pass(DOWN_S)
        start_again(run_dir, victim, how)
        back = partial(is_back, run_dir, victim, self.scene.address)
        back_s = wait_for(back, self._meanwhile, f"{victim.name} was not back")
        self._let_pass(victim.well_s)
        self.scene.down = ()
        self.deaths.append(Death(victim.name, self.scene.figures.excused - before, back_s))

    def _let_pass(self, seconds: float) -> None:
        until = self.clock() + seconds
        while self.clock() < until:
            self._meanwhile()
            time.sleep(WATCH_S)


@contextmanager
def traffic(scene: Scene, parts: Iterable[Part]) -> Iterator[Crew]:
    """Let clients play their parts as long as the block runs, and finish their last request."""
    crew = Crew(scene)
    try:
        for part in parts:
            part.play(crew)
        yield crew
    finally:
        crew.stop()
    crew.check()
