"""The command line of the walk: see `scripts/walk --help`."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from scripts.processes import ComponentFailedError
from scripts.walking.conductor import Walk
from scripts.walking.plan import Plan
from scripts.walking.report import as_json
from scripts.walking.steps import STEPS
from scripts.walking.telling import tell

FAILED, BROKEN, INTERRUPTED = 1, 2, 130
NAMES = ",".join(step.name for step in STEPS)
EPILOG = """\
exit codes:
  0  every answer was right, nothing was lost, every step was done
  1  a request failed, a write was lost or repeated, or a step did not come to its end
  2  a part of the blog did not start or died; the end of its log is shown
  130  interrupted"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Walk as the command line says; the exit code is returned."""
    parser = _parser()
    given = parser.parse_args(arguments)
    console = Console()
    folder = Path(tempfile.mkdtemp(prefix="strangler-walk-"))
    there_and_back = tuple(step.name for step in STEPS if step.undoable)
    steps = given.steps or (there_and_back if given.undo else tuple(step.name for step in STEPS))
    if given.undo and steps != there_and_back[: len(steps)]:
        parser.error("--undo: there is no way back from retire; leave it out of --steps")
    plan = Plan(
        *(given.seconds, given.seed, folder, given.undo, given.uploaders),
        steps=steps,
        undo_each=given.undo_each,
        real=given.real,
        kill=given.kill,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    keep = True
    try:
        found = Walk(plan, console).run()
        keep = given.keep or not found.passed
        tell(found, console)
        for path in filter(None, (given.json, folder / "report.json")):
            write(path, as_json(found))
    except ComponentFailedError as failed:
        if given.json is not None:
            write(given.json, {"passed": False, "error": str(failed), "folder": str(folder)})
        message = f"walk: {failed}\nwalk: logs and data are in {folder}"
        console.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
        return BROKEN
    except KeyboardInterrupt:
        keep = given.keep
        console.print("walk: interrupted; everything is stopped")
        return INTERRUPTED
    finally:
        if not keep:
            shutil.rmtree(folder)
    if given.keep:
        console.print(f"Logs and data: {folder}", markup=False, highlight=False, soft_wrap=True)
    return 0 if found.passed else FAILED


def write(path: Path, told: dict[str, Any]) -> None:
    """Write a JSON file for people and programs."""
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # Once is enough: a second one must not cut short the stopping of what was started.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _steps(text: str) -> tuple[str, ...]:
    """The first so many steps, by the name of the last or all their names."""
    known = [step.name for step in STEPS]
    named = text.split(",")
    if named != known[: len(named)]:
        raise argparse.ArgumentTypeError(f"{text!r} are not the first of {NAMES}")
    return tuple(named)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/walk",
        description="Start the blog behind the proxy, send live traffic, carve four services out of"
        " it meanwhile, retire the monolith, and audit every write that was acknowledged.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--seconds", type=float, default=50.0, help="of measured traffic, half on each side (50)")
    add("--seed", type=int, default=1, help="for the clients' choices (1)")
    add("--uploaders", type=int, default=6, help="clients that upload large pictures (6)")
    add("--steps", type=_steps, metavar="NAMES", help=f"the first so many of {NAMES} (all)")
    add("--undo", action="store_true", help="undo all steps under traffic; none is retired")
    add("--undo-each", action="store_true", help="undo each step, and do it again, before the next")
    add("--kill", action="store_true", help="then kill one part after the other")
    add("--real", action="store_true", help="on PostgreSQL, MariaDB and RabbitMQ, not on files")
    add("--keep", action="store_true", help="keep the work folder (a failure keeps it anyway)")
    add("--json", type=Path, metavar="FILE", help="write the report there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
