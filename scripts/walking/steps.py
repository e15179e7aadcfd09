"""Runs step scripts as a user would: as commands, with the site's environment, to their ends."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.processes import ROOT, last_lines, stop_group
from scripts.walking.report import StepRun

TIMEOUT_S = 300.0
POLL_S = 0.2
# Evidence for a rehearsal: enough to fall back from a service that fails, in seconds instead of
# the hours that the defaults take.
JUDGED = ("--patience-s", "90", "--p99-floor-s", "2")
WITH_DATA = (
    *(*JUDGED, "--extra-errors", "25%", "--min-writes", "1"),
    # The soak looks at the slowest of a few logins, each a bcrypt hash on a machine that is busy.
    *("--copy-within-s", "60", "--soak-s", "1", "--p99-floor-s", "5"),
)
WITH_CANARY = (*WITH_DATA, "--percents", "25,50", "--min-requests", "8")


@dataclass(frozen=True, slots=True)
class StepScript:
    """A step: its script, and the options of its rehearsal.

    `data`: it moves tables along. One that is not `undoable` comes last.
    """

    name: str
    path: str
    rehearsal: tuple[str, ...]
    data: bool = True
    undoable: bool = True

    @property
    def shown(self) -> str:
        """The script's name without its folder."""
        return Path(self.path).name


STEPS = (
    StepScript(
        "image",
        "scripts/step_1_image.py",
        (
            *(*JUDGED, "--extra-errors", "10%", "--percents", "25,50", "--samples", "12"),
            *("--min-requests", "30", "--min-uploads", "2", "--soak-s", "1"),
        ),
        data=False,
    ),
    StepScript("auth", "scripts/step_2_auth.py", (*WITH_CANARY, "--samples", "3")),
    StepScript("posts", "scripts/step_3_posts.py", (*WITH_CANARY, "--samples", "9")),
    StepScript("payment", "scripts/step_4_payment.py", (*WITH_DATA, "--samples", "3")),
    StepScript(
        "retire",
        "scripts/step_5_retire.py",
        ("--patience-s", "90", "--min-requests", "40"),
        data=False,
        undoable=False,
    ),
)


def run_step(
    script: StepScript,
    way: str,
    watch_s: float,
    routes: Path,
    log: Path,
    environ: Mapping[str, str],
    meanwhile: Callable[[str], None],
) -> StepRun:
    """Run `--execute` or `--undo`; `meanwhile` is called with the script's newest line.

    The step watches for `watch_s` seconds after each of its parts.
    What `meanwhile` raises stops the script, with SIGTERM, before it goes on its way.
    """
    options = (*script.rehearsal, "--watch-s", str(watch_s)) if way == "--execute" else ()
    command = (sys.executable, "-P", script.path, way, "-c", str(routes), *options)
    began = time.monotonic()
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            # The step starts gunicorn by its name.
            env={**os.environ, **environ, "PYTHONPATH": str(ROOT), "PATH": _path()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while process.poll() is None:
            meanwhile(last_lines(log, 1) if log.stat().st_size else "")
            if time.monotonic() - began > TIMEOUT_S:
                break
            time.sleep(POLL_S)
    finally:
        if process.poll() is None:
            stop_group(process, 30)
    seconds = time.monotonic() - began
    arguments = f"{script.shown} {way}"
    return StepRun(arguments, int(process.returncode), seconds, last_lines(log))


def _path() -> str:
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
