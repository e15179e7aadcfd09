"""The `handover` word of `scripts/bench`."""

import argparse
import json
import os
import shutil
import subprocess
import sys

from rich.console import Console

from scripts.benchmarks.handover import report
from scripts.benchmarks.handover.run import NoServer, run
from scripts.benchmarks.targets import exit_code

ROWS, ROUNDS = 1_000_000, 3
QUICK_ROWS, QUICK_ROUNDS = 200_000, 2
_PACKAGES = {"pgloader": "pgloader", "psql": "postgresql-client"}
_LIMIT_S = 900


def install() -> int:
    """Bring pgloader and psql by apt; 0 when both are there, else 3."""
    missing = [package for program, package in _PACKAGES.items() if not shutil.which(program)]
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if not missing:
        return 0
    if not shutil.which("apt-get") or os.geteuid() != 0:
        told = f"only root can install packages; run: sudo {' '.join(command)}"
        print(f"bench: {told}", file=sys.stderr)
        return 3
    return 3 if subprocess.run(command, timeout=_LIMIT_S, check=False).returncode else 0


def measure(options: argparse.Namespace, console: Console) -> int:
    """Measure, show and write; returns the exit status."""
    rows = options.rows or (QUICK_ROWS if options.quick else ROWS)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    try:
        with Console(stderr=True).status("") as status:
            result = run(options.only, rows, rounds, status.update)
    except NoServer as fault:
        print(f"bench: no PostgreSQL to measure with: {fault}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("bench: interrupted; everything that it started is stopped", file=sys.stderr)
        return 130
    report.show(result, console)
    if options.json:
        options.json.write_text(json.dumps(result.as_json(), indent=1) + "\n")
        console.print(f"written: {options.json}")
    if options.markdown:
        options.markdown.write_text(report.render(result) + "\n")
        console.print(f"written: {options.markdown}")
    return exit_code(result.judgements())
