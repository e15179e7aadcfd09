"""The order of a walk: start everything, let it be played, stop, audit."""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from rich.console import Console

from scripts import stack
from scripts.processes import ROOT, Fleet, stop_services
from scripts.walking import photographs, report
from scripts.walking.audit import Finding
from scripts.walking.cast import Cast
from scripts.walking.client import Scene
from scripts.walking.figures import Figures
from scripts.walking.inspection import inspect
from scripts.walking.journal import Journal
from scripts.walking.performance import Performance
from scripts.walking.plan import Plan
from scripts.walking.real import real_servers
from scripts.walking.report import KINDS, Report
from scripts.walking.steps import STEPS
from scripts.walking.telling import Teller

SEEDED_POSTS = 36
SETTLED_S = 30.0  # mails and copies that are on their way arrive
AGAIN_S = 0.5
MAILER = "email-worker"


@dataclass(slots=True)
class Walk:
    """One walk, from an empty folder to a report."""

    plan: Plan
    console: Console
    clock: Callable[[], float] = time.monotonic
    ports: stack.Ports = field(default_factory=stack.Ports.free)
    figures: Figures = field(default_factory=Figures)
    journal: Journal = field(default_factory=Journal)

    def run(self) -> Report:
        """Walk. Raises ComponentFailedError when a part of the blog fails; always stops all."""
        folder = self.plan.folder
        environ = stack.environment(folder, self.ports, stack.new_secrets())
        routes = folder / "strangler.yaml"
        stack.write_routes(ROOT / "strangler.yaml", routes, self.ports)
        with (
            _places(self.plan.real) as places,
            Teller(self.console, self._counts, self.clock) as teller,
            Fleet(folder / "log") as fleet,
        ):
            environ |= places
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
            acts = Performance(self.plan, scene, cast, fleet, environ, routes, teller, self.clock)
            acts.play()
            teller.phase("audit every acknowledged write")
            tokens = [payer.client.token for payer in cast.payers if payer.client.token]
            scene.phase = "audit"
            killed = sum(death.name == MAILER for death in acts.deaths)
            findings = self._audit(scene, environ, tokens, acts.done, killed)
        finally:
            cast.close()
        return report.build(
            self.figures,
            self.journal,
            findings,
            acts.steps,
            acts.deaths,
            seed=self.plan.seed,
            uploaders=self.plan.uploaders,
            folder=str(self.plan.folder),
        )

    def _audit(
        self,
        scene: Scene,
        environ: Mapping[str, str],
        tokens: list[str],
        done: Collection[str],
        killed: int,
    ) -> list[Finding]:
        """What is wrong when mails and copies that are on their way have had time to arrive."""
        moved = [step.name for step in STEPS if step.data and step.name in done]
        until = self.clock() + SETTLED_S
        while True:
            mail = self.plan.folder / "mail"
            retired = "retire" in done
            found = inspect(
                scene, environ, mail, tokens, moved, retired=retired, mailed_again=killed
            )
            findings = list(found)
            if not findings or self.clock() >= until:
                return findings
            time.sleep(AGAIN_S)

    def _counts(self) -> str:
        writes = sum(row.id is not None for kind in KINDS for row in self.journal.rows(kind))
        failed = len(self.figures.failures)
        return (
            f"{self.figures.requests:,} requests, {failed} failed, {writes:,} writes in the books"
        )


def _places(real: bool) -> AbstractContextManager[dict[str, str]]:
    """Variables that lead away from files."""
    return real_servers() if real else nullcontext({})
