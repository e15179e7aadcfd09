"""Runs a step script as a user would: as a command, with the site's environment, to its end."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.processes import ROOT, last_lines, stop_group
from scripts.walking.report import StepRun

SCRIPT = "scripts/step_1_image.py"
TIMEOUT_S = 300.0
POLL_S = 0.2
# Evidence for a rehearsal: enough to fall back from a service that fails, in seconds instead of
# the hours that the defaults take.
REHEARSAL = (
    *("--percents", "25,50", "--patience-s", "90", "--samples", "12"),
    *("--min-requests", "30", "--min-uploads", "2", "--extra-errors", "10%", "--p99-floor-s", "2"),
)


def run_step(
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
    options = (*REHEARSAL, "--watch-s", str(watch_s)) if way == "--execute" else ()
    command = (sys.executable, "-P", SCRIPT, way, "-c", str(routes), *options)
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
    arguments = f"{Path(SCRIPT).name} {way}"
    return StepRun(arguments, int(process.returncode), seconds, last_lines(log))


def _path() -> str:
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
