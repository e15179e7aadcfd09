"""The command line of the torture: see `scripts/torture --help`."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

from scripts.torturing.commands import CommandMovers
from scripts.torturing.conductor import Plan, Torture
from scripts.torturing.movers import LibraryMovers, Movers
from scripts.torturing.nemesis import Death
from scripts.torturing.report import SHOWN, as_json, tell, tell_history
from scripts.torturing.servers import MissingProgram
from scripts.torturing.site import EndedByItself, Site

VIOLATED, BROKEN, INTERRUPTED = 1, 2, 130
_DEATHS = {death.name.lower().replace("_", "-"): death for death in Death}
KINDS = ("sqlite", "postgresql", "mysql")
EPILOG = """\
examples:
  scripts/torture --cut-overs 200                         SQLite, until so many were done
  scripts/torture --minutes 5 --seed 7 --source postgresql --target mysql
  scripts/torture --minutes 3 --commands                  by `strangler data cutover|rollback`
  scripts/torture --no-kills --rate 500 --json hold.json  how long writers wait

exit codes:
  0  every answer was right, and every acknowledged write is there once, on both sides
  1  a violation: its word's history is shown, and the folder with all histories and logs is kept
  2  a part did not start, or died though nobody had killed it; the end of its log is shown
  130  interrupted"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Torture as the command line says; the exit code is returned."""
    given = _parser().parse_args(arguments)
    console = Console()
    folder = Path(tempfile.mkdtemp(prefix="strangler-torture-"))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    plan = Plan(
        *(folder, given.seed, given.source, given.target, given.cut_overs),
        seconds=given.minutes * 60,
        rate=given.rate,
        deaths=[] if given.no_kills else [_DEATHS[name] for name in given.only or _DEATHS],
        kill_every_s=given.kill_every,
    )
    movers: Callable[[Site, float], Movers] = CommandMovers if given.commands else LibraryMovers
    torture = Torture(plan, lambda text: console.print(text, markup=False, highlight=False), movers)
    keep = True
    try:
        report = torture.run()
        keep = given.keep or not report.passed
    except (EndedByItself, MissingProgram, TimeoutError) as failed:
        console.print(f"torture: {failed}\ntorture: all is kept in {folder}", markup=False)
        return BROKEN
    except KeyboardInterrupt:
        keep = given.keep
        console.print("torture: interrupted; everything is stopped")
        return INTERRUPTED
    finally:
        if not keep:
            shutil.rmtree(folder)
    tell(report, console)
    if given.json:
        given.json.write_text(json.dumps(as_json(report), indent=2) + "\n", "utf-8")
    if keep:
        words = {violation.word: None for violation in report.violations if violation.word}
        tell_history(torture.operations, list(words)[:SHOWN], console)
        console.print(f"seed {plan.seed}; histories and logs: {folder}", markup=False)
    return 0 if report.passed else VIOLATED


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # Once is enough: a second one must not cut short the stopping of what was started.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/torture",
        description="Writers through the proxy and past it, cut-overs to and fro, and everything "
        "killed at random; then every answer is checked against what both databases hold.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--minutes", type=float, default=1.0, help="how long at most (1)")
    add("--cut-overs", type=int, metavar="N", help="end when so many were done")
    add("--seed", type=int, default=1, help="for who dies when, and what clients do (1)")
    add("--source", choices=KINDS, default="sqlite", help="the control's database (sqlite)")
    add("--target", choices=KINDS, default="sqlite", help="the candidate's database (sqlite)")
    add("--rate", type=float, default=150.0, help="operations a second through the proxy (150)")
    add("--kill-every", type=float, default=1.2, metavar="S", help="seconds in the mean (1.2)")
    add("--only", nargs="+", choices=_DEATHS, metavar="DEATH", help=f"of {', '.join(_DEATHS)}")
    add("--no-kills", action="store_true", help="nothing dies, and nobody bypasses the proxy")
    add("--commands", action="store_true", help="cut over by `strangler data`, not by the library")
    add("--keep", action="store_true", help="keep the folder (a violation keeps it anyway)")
    add("--json", type=Path, metavar="FILE", help="write the report there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
