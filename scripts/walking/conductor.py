"""The order of a walk: start everything, traffic, measure, step, measure, stop, audit."""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from rich.console import Console

from scripts import stack
from scripts.processes import ROOT, Fleet, stop_services
from scripts.walking import photographs, report
from scripts.walking.audit import Finding
from scripts.walking.cast import Cast, Part
from scripts.walking.client import Scene
from scripts.walking.crew import Crew
from scripts.walking.figures import Figures
from scripts.walking.inspection import inspect
from scripts.walking.journal import Journal
from scripts.walking.real import real_servers
from scripts.walking.report import AFTER, BEFORE, KINDS, Report, StepRun
from scripts.walking.steps import STEPS, StepScript, run_step
from scripts.walking.telling import Teller

SEEDED_POSTS = 36
WATCH_S = 0.2
# What a copy may be behind while a step moves data: the tail looks ten times a second.
STALE_S = 3.0
SETTLED_S = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to walk: seconds of measured traffic, half of them on each side of the first step.

    `steps` are the names of the steps, in order. With `undo` all are undone in the end, the last
    first; with `undo_each` every step is undone and done again before the next. `real`: on
    PostgreSQL, MariaDB and RabbitMQ instead of files.
    """

    seconds: float
    seed: int
    folder: Path
    undo: bool
    uploaders: int
    steps: tuple[str, ...] = ("image",)
    undo_each: bool = False
    real: bool = False


@dataclass(slots=True)
class Walk:
    """One walk, from an empty folder to a report."""

    plan: Plan
    console: Console
    clock: Callable[[], float] = time.monotonic
    ports: stack.Ports = field(default_factory=stack.Ports.free)
    figures: Figures = field(default_factory=Figures)
    journal: Journal = field(default_factory=Journal)
    steps: list[StepRun] = field(default_factory=list)
    _done: set[str] = field(default_factory=set)

    def run(self) -> Report:
        """Walk. Raises ComponentFailedError when a part of the blog fails; always stops all."""
        folder = self.plan.folder
        moves = folder / "moves.yaml"
        shutil.copyfile(ROOT / "migrations" / "moves.yaml", moves)
        environ = stack.environment(folder, self.ports, stack.new_secrets())
        routes = folder / "strangler.yaml"
        stack.write_routes(ROOT / "strangler.yaml", routes, self.ports)
        with (
            _places(self.plan.real) as places,
            Teller(self.console, self._counts, self.clock) as teller,
            Fleet(folder / "log") as fleet,
        ):
            environ |= {"STRANGLER_MOVES": str(moves), **places}
            try:
                self._start(fleet, environ, routes, teller)
                return self._walk(fleet, environ, routes, teller)
            finally:
                stop_services(folder / ".strangler")

    def _start(
        self, fleet: Fleet, environ: Mapping[str, str], routes: Path, teller: Teller
    ) -> None:
        teller.phase("start the stand-ins, the monolith and the proxy")
        for program in stack.stand_ins(self.plan.folder, self.ports, environ):
            teller.note(program.name)
            fleet.start(program)
        stack.migrate(fleet, environ)
        for program in (
            stack.monolith(self.ports, environ),
            stack.proxy(self.ports, environ, routes),
        ):
            teller.note(program.name)
            fleet.start(program)

    def _walk(
        self, fleet: Fleet, environ: Mapping[str, str], routes: Path, teller: Teller
    ) -> Report:
        teller.phase("make the photographs and the first posts")
        scene = Scene(
            f"http://127.0.0.1:{self.ports.proxy}",
            self.journal,
            self.figures,
            photographs.ordinary(Random(self.plan.seed)),  # noqa: S311 - traffic, not secrets
        )
        cast = Cast(scene, self.plan.seed, photographs.heavy(), self.plan.uploaders)
        try:
            cast.join()
            cast.seed_posts(SEEDED_POSTS)
            self._perform(scene, cast, fleet, environ, routes, teller)
            teller.phase("audit every acknowledged write")
            tokens = [payer.client.token for payer in cast.payers if payer.client.token]
            scene.phase = "audit"
            findings = self._audit(scene, environ, tokens)
        finally:
            cast.close()
        return report.build(
            self.figures,
            self.journal,
            findings,
            self.steps,
            seed=self.plan.seed,
            uploaders=self.plan.uploaders,
            folder=str(self.plan.folder),
        )

    def _audit(self, scene: Scene, environ: Mapping[str, str], tokens: list[str]) -> list[Finding]:
        """What is wrong when mails and copies that are on their way have had time to arrive."""
        moved = [step.name for step in STEPS if step.data and step.name in self._done]
        until = self.clock() + SETTLED_S
        while True:
            mail = self.plan.folder / "mail"
            findings = list(inspect(scene, environ, mail, tokens, moved))
            if not findings or self.clock() >= until:
                return findings
            time.sleep(WATCH_S)

    def _perform(
        self,
        scene: Scene,
        cast: Cast,
        fleet: Fleet,
        environ: Mapping[str, str],
        routes: Path,
        teller: Teller,
    ) -> None:
        with traffic(scene, cast.everyone) as everyone:

            def meanwhile(note: str = "") -> None:
                fleet.check()
                everyone.check()
                teller.note(note)

            def measure(phase: str) -> None:
                scene.phase = phase
                with traffic(scene, cast.measuring()) as measuring:
                    until = self.clock() + self.plan.seconds / 2
                    while self.clock() < until:
                        meanwhile()
                        measuring.check()
                        time.sleep(WATCH_S)

            def step(script: StepScript, way: str) -> bool:
                teller.phase(f"{script.path} {way}, while traffic flows")
                watch_s = min(4.0, max(1.0, self.plan.seconds / 10))
                scene.phase = f"step {script.name} {way}"
                scene.stale_s = STALE_S if script.data else 0.0
                log = fleet.logs / f"{script.shown}.log"
                run = run_step(script, way, watch_s, routes, log, environ, meanwhile)
                scene.stale_s = 0.0
                self.steps.append(run)
                done = run.exit_code == 0
                change = self._done.add if done and way == "--execute" else self._done.discard
                change(script.name)
                return done

            def walk(script: StepScript) -> bool:
                ways = ["--execute", *(["--undo", "--execute"] if self.plan.undo_each else [])]
                return all(step(script, way) for way in ways)

            teller.phase(f"traffic, with {self.plan.uploaders} clients uploading large pictures")
            measure(BEFORE)
            chosen = [script for script in STEPS if script.name in self.plan.steps]
            for script in chosen:
                if not walk(script):
                    return
                if script is chosen[0]:
                    teller.phase("the same traffic after the step")
                    measure(AFTER)
            for script in reversed(chosen) if self.plan.undo else ():
                if not step(script, "--undo"):
                    return
            if self.plan.undo:
                teller.phase("the same traffic after going back")
                measure("undone")
            teller.phase("let every client finish")

    def _counts(self) -> str:
        writes = sum(row.id is not None for kind in KINDS for row in self.journal.rows(kind))
        failed = len(self.figures.failures)
        return (
            f"{self.figures.requests:,} requests, {failed} failed, {writes:,} writes in the books"
        )


def _places(real: bool) -> AbstractContextManager[dict[str, str]]:
    """Variables that lead away from files."""
    return real_servers() if real else nullcontext({})


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
