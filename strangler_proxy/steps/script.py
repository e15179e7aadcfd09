"""The command line of a step script: prints the plan, or runs the step in one direction."""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from strangler_proxy.config import Config, ConfigError, load
from strangler_proxy.steps.decision import Direction, UnknownPart
from strangler_proxy.steps.engine import Ending, Outcome, Run
from strangler_proxy.steps.ledger import (
    LedgerError,
    LedgerLocked,
    open_ledger,
    read_ledger,
    running_now,
)
from strangler_proxy.steps.leftovers import Leftover, as_lines
from strangler_proxy.steps.narrator import Narrator
from strangler_proxy.steps.options import add_options, choose
from strangler_proxy.steps.order import ANY_TIME, Order, OutOfTurn, begun, out_of_turn
from strangler_proxy.steps.pace import RealPace, stopped_by_signals
from strangler_proxy.steps.plan import as_table, as_values, next_in_words, standing
from strangler_proxy.steps.state import Phase, State, fold
from strangler_proxy.steps.step import Step

USAGE, LOCKED = 2, 4
EXIT_CODES = """\
exit codes:
  0  done (or: plan or status printed, undo complete)
  1  a gate failed, or a part could not be done; the step fell back by itself
  2  the command line, strangler.yaml, the environment or the ledger is not usable; or the step is
     over, cannot be undone any more, or it is not its turn: nothing was done
  3  stopped where it stands: too little evidence, a signal, an undo that could not be completed
  4  another run of this step holds the ledger"""


class StepError(Exception):
    """The step cannot be declared as asked; the message says what to set or to give."""


@dataclass(frozen=True)
class Site:
    """Where a step runs: the configuration, its file, and the folder for ledger, pids and logs."""

    config: Config
    config_path: Path
    run_dir: Path


@dataclass(frozen=True)
class Script:
    """A step script. `declare` makes the step out of its options, and touches nothing yet.

    `options` is a frozen dataclass made of `option` fields; `declare` may raise StepError. `over`
    says why the step may be run in no direction any more, `no_way_back` why it may not be undone,
    None while it may; `order` names the steps that have to be done before, and those that need it.
    `afterwards` looks for what nobody needs any more once the step is done.
    """

    name: str
    summary: str
    examples: str
    options: type[Any]
    declare: Callable[[Any, Site], Step]
    over: Callable[[Site], str | None] = lambda _: None
    no_way_back: Callable[[Site], str | None] = lambda _: None
    afterwards: Callable[[Site], Iterable[Leftover]] = lambda _: ()
    order: Order = ANY_TIME

    def barred(self, way: Direction, site: Site) -> str | None:
        """Why it may not be run in this direction now; None while it may. Raises LedgerError."""
        lost = self.over(site) or (self.no_way_back(site) if way is Direction.UNDO else None)
        return lost or out_of_turn(way, self.order, self.others(site))

    def others(self, site: Site) -> dict[str, Phase]:
        """How far the steps are that its order names. Raises LedgerError."""
        names = (*self.order.before, *self.order.needed_by)
        return {name: fold(read_ledger(ledger_of(name, site))).phase for name in names}


def ledger_of(step: str, site: Site) -> Path:
    """Where a step of this site keeps what it has done."""
    return site.run_dir / f"{step}.ledger.jsonl"


def run_step_script(script: Script, arguments: Sequence[str] | None = None) -> NoReturn:
    """Do what the command line says, and exit with one of EXIT_CODES."""
    sys.exit(main(script, sys.argv[1:] if arguments is None else arguments))


def main(script: Script, arguments: Sequence[str]) -> int:
    """Do what the arguments say; the exit code is returned."""
    chosen = vars(_parser(script).parse_args(arguments))
    told = Console(stderr=True)
    try:
        return _act(script, chosen, told)
    except LedgerLocked as locked:
        told.print(f"[yellow]locked[/] {locked}", highlight=False, soft_wrap=True)
        return LOCKED
    except (ConfigError, LedgerError, OutOfTurn, StepError, UnknownPart) as fault:
        told.print(str(fault), style="red", markup=False, highlight=False, soft_wrap=True)
        return USAGE


def _act(script: Script, chosen: dict[str, Any], told: Console) -> int:
    config_path = Path(chosen.pop("config")).resolve()
    run_dir = Path(chosen.pop("run_dir") or config_path.parent / ".strangler").resolve()
    wanted, as_json = chosen.pop("wanted"), chosen.pop("json")
    site = Site(load(config_path), config_path, run_dir)
    path = ledger_of(script.name, site)
    if wanted not in set(Direction):
        return _tell(script, site, path, chosen, wanted == "status", as_json)
    if why := script.barred(Direction(wanted), site):
        raise StepError(why)
    pace = RealPace()
    with open_ledger(path, wanted) as ledger, stopped_by_signals(pace):
        options = choose(script.options, ledger.state.options, chosen)
        step = script.declare(options, site)
        narrator = Narrator(told, pace.now)
        run = Run(
            step,
            ledger,
            pace,
            narrator,
            asdict(options),
            lambda: begun(script.order.needed_by, script.others(site)),
            lambda way: out_of_turn(way, script.order, script.others(site)),
        )
        try:
            outcome = run.to(Direction(wanted))
        except (UnknownPart, OutOfTurn, LedgerError):
            raise
        except Exception:  # noqa: BLE001 - exit code 1 would say that the step fell back
            narrator.quiet()
            traceback.print_exc()
            advice = "This is a fault of the step's own; where it stands is in the ledger."
            outcome = Outcome(Ending.STOPPED, "stopped by an unexpected error, see above", advice)
        finally:
            narrator.quiet()
        values, state = as_values(step, ledger.state), ledger.state
    values["next"] |= _barred(script, site)
    left = _left_over(script, site, state)
    _say(outcome, {**values, "left_over": list(map(asdict, left))}, told, as_json)
    _show_leftovers(told, left)
    return outcome.ending


def _barred(script: Script, site: Site) -> dict[str, str]:
    return {str(way): why for way in Direction if (why := script.barred(way, site))}


def _left_over(script: Script, site: Site, state: State) -> list[Leftover]:
    return list(script.afterwards(site)) if state.phase is Phase.FINISHED else []


def _show_leftovers(console: Console, left: Sequence[Leftover]) -> None:
    for line in as_lines(left):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _say(outcome: Outcome, values: dict[str, Any], told: Console, as_json: bool) -> None:
    colour = {Ending.DONE: "green", Ending.FELL_BACK: "red", Ending.STOPPED: "yellow"}
    told.print(outcome.text, style=colour[outcome.ending], markup=False, soft_wrap=True)
    if outcome.advice:
        told.print(outcome.advice, markup=False, highlight=False, soft_wrap=True)
    if as_json:
        ending = {"ending": outcome.ending.name.lower(), "text": outcome.text}
        print(json.dumps({**ending, "exit_code": int(outcome.ending), **values}))  # noqa: T201


def _tell(
    script: Script,
    site: Site,
    path: Path,
    given: Mapping[str, Any],
    status: bool,
    as_json: bool,
) -> int:
    records = read_ledger(path)
    state = fold(records)
    step = script.declare(choose(script.options, state.options, given), site)
    barred, left = _barred(script, site), _left_over(script, site, state)
    if as_json:
        values = as_values(step, state)
        values["next"] |= barred
        last = {"ledger": str(path), "records": len(records), "running": running_now(path)}
        print(json.dumps({**values, "left_over": list(map(asdict, left)), **last}))  # noqa: T201
        return 0
    out = Console()
    out.print(as_table(step, state))
    out.print(f"Where it stands: {standing(state)}.", markup=False, highlight=False)
    if status:
        _tell_more(out, step, path, records, barred)
        _show_leftovers(out, left)
    elif state.phase is not Phase.FINISHED:
        out.print("This is the plan; nothing was changed. Run it with --execute.", highlight=False)
    return 0


def _tell_more(
    out: Console,
    step: Step,
    path: Path,
    records: Sequence[Mapping[str, Any]],
    barred: Mapping[str, str],
) -> None:
    state = fold(records)
    out.print(f"Running now: {running_now(path) or 'nobody'}.", markup=False, highlight=False)
    for way in Direction:
        told = barred.get(way) or next_in_words(step, state, way)
        out.print(f"--{way} would next: {told}", markup=False, highlight=False, soft_wrap=True)
    for record in records[-8:]:
        about = record.get("part") or record.get("gate") or ", ".join(record.get("parts", ()))
        text = record.get("evidence") or record.get("text") or ""
        out.print(f"  {record['at']}  {record['kind']:<9} {about}  {text}", markup=False)
    out.print(f"Ledger: {path} ({len(records)} records)", markup=False, highlight=False)


def _parser(script: Script) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=f"{script.summary}\nWithout --execute or --undo it only prints its plan.",
        epilog=f"examples:\n{script.examples}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    for way, text in (
        (Direction.EXECUTE, "run the step, or go on where an earlier run stopped"),
        (Direction.UNDO, "undo whatever was done, last part first"),
        ("status", "say where it stands and what would come next"),
    ):
        what.add_argument(
            f"--{way}", dest="wanted", action="store_const", const=str(way), help=text
        )
    parser.set_defaults(wanted="plan")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    parser.add_argument(
        "-c",
        "--config",
        default=os.environ.get("STRANGLER_CONFIG") or "strangler.yaml",
        metavar="FILE",
        help="the proxy's configuration (default: $STRANGLER_CONFIG, or else strangler.yaml)",
    )
    parser.add_argument(
        "--run-dir",
        metavar="DIR",
        help="ledger, pid files and logs (default: .strangler beside the configuration)",
    )
    add_options(parser, script.options)
    return parser
