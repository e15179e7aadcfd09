"""A site that is up, clients that give the gates their evidence, and the suite that judges it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from scripts.walking import photographs
from scripts.walking.cast import Cast
from scripts.walking.client import Scene
from scripts.walking.figures import Figures
from scripts.walking.journal import Journal
from scripts.walking.performance import STALE_S, traffic
from scripts.walking.steps import StepScript, run_step
from tests.e2e.local import ROOT, Site

SEED, SEEDED_POSTS, WATCH_S, SUITE_S = 7, 30, 1.0, 120.0


@dataclass
class Stages:
    """A site that is moved step by step, and is judged as it then stands."""

    site: Site
    scene: Scene
    cast: Cast

    def step(self, script: StepScript, way: str) -> None:
        """Execute or undo a step while clients ask and write; it and they must succeed."""
        self.scene.phase = f"{script.name} {way}"
        self.scene.stale_s = STALE_S if script.data else 0.0
        log = self.site.data / "log" / f"{script.shown}.log"
        with traffic(self.scene, self.cast.everyone) as crew:
            run = run_step(
                script,
                way,
                WATCH_S,
                self.site.routes,
                log,
                self.site.environ,
                lambda _: crew.check(),
            )
        assert run.exit_code == 0, f"{script.shown} {way}:\n{run.last_lines}"
        assert self.scene.figures.failures == []

    def restart(self) -> None:
        """Take everything down, what the steps have started too, and bring it up again."""
        assert self.site.up("--down").returncode == 0
        started = self.site.up("--detach")
        assert started.returncode == 0, started.stdout
        status = self.site.up("--status")
        assert status.returncode == 0, f"{started.stdout}\n{status.stdout}"

    def accept(self, stage: str) -> None:
        """Run the acceptance suite against the site, as it would judge any deployment."""
        own = {
            "BLOG_URL": self.site.url(""),
            "BLOG_MAIL_DIR": str(self.site.data / "mail"),
            "BLOG_STAGE": stage,
        }
        suite = ("-m", "pytest", "tests/e2e/acceptance", "-q", "-p", "no:cacheprovider")
        judged = subprocess.run(
            (sys.executable, *suite),
            cwd=ROOT,
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SUITE_S,
            check=False,
        )
        assert judged.returncode == 0, f"{stage}:\n{judged.stdout[-12000:]}"
        assert "skipped" not in judged.stdout, f"{stage}: {judged.stdout[-400:]}"


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[Stages]:
    site = Site(tmp_path, BCRYPT_ROUNDS="4", LOGIN_LIMIT="6000/minute")
    try:
        started = site.up("--detach")
        assert started.returncode == 0, started.stdout
        album = photographs.ordinary(Random(SEED))
        scene = Scene(site.url(""), Journal(), Figures(), album, others_write=True)
        cast = Cast(scene, SEED, [], 0)
        try:
            cast.join()
            cast.seed_posts(SEEDED_POSTS)
            yield Stages(site, scene, cast)
        finally:
            cast.close()
    finally:
        site.up("--down")
