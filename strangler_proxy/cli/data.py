"""Commands about a capability's data: plan, start, status, verify, remove. No proxy need run."""

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from strangler_proxy.cli.app import BAD_CONFIG, FAILED, AsJson, app, show, stop
from strangler_proxy.config import ConfigError

if TYPE_CHECKING:
    from strangler_proxy.handover.move import Move
    from strangler_proxy.handover.run import Ending
    from strangler_proxy.handover.site import Ends
    from strangler_proxy.handover.verify import Report

STOPPED, LOCKED = 3, 4
_CODES = (
    "Exit codes:  0 done   1 failed, or the sides differ   2 the command line, moves.yaml, a "
    "variable or the tables do not allow it   3 told to stop before it was done   "
    "4 another process is at work on this move"
)
_DRIVERS = {"sqlite3", "psycopg", "pymysql"}
_SHOWN = 20

MoveArgument = Annotated[str, typer.Argument(metavar="MOVE", help="Its name in moves.yaml.")]
MovesPath = Annotated[
    Path, typer.Option("-m", "--moves", help="The file of moves.", envvar="STRANGLER_MOVES")
]
DEFAULT_MOVES = Path("moves.yaml")

data = typer.Typer(
    help="Move a capability's data into its own database, while it is being written.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    epilog=_CODES,
)
app.add_typer(data, name="data")


@data.command(epilog=f"Example:  strangler data plan posts -m moves.yaml\n\n{_CODES}")
def plan(name: MoveArgument, moves: MovesPath = DEFAULT_MOVES, as_json: AsJson = False) -> None:
    """Show what a move would do, or all that stands against it; changes nothing."""
    from strangler_proxy.cli.data_told import plan_lines, plan_table
    from strangler_proxy.handover.plan import plan as make_plan
    from strangler_proxy.handover.site import open_site

    with _outcome(as_json):
        move = _move(moves, name)
        with open_site(move, _ends(move)) as site:
            planned = make_plan(site)
    if as_json:
        typer.echo(json.dumps({"ok": True, **asdict(planned)}, indent=2))
        return
    show(plan_table(planned))
    for line in plan_lines(planned):
        typer.echo(line)
    typer.echo(f"Nothing was changed. Begin with:  strangler data start {name}")


@data.command(
    epilog="Examples:  strangler data start posts   (until Ctrl-C; run again, it goes on)"
    f"   strangler data start posts --until-caught-up --rate 20000 --json\n\n{_CODES}"
)
def start(
    name: MoveArgument,
    moves: MovesPath = DEFAULT_MOVES,
    until_caught_up: Annotated[
        bool,
        typer.Option(
            "--until-caught-up",
            help="End when every change captured so far is at the target, instead of going on.",
        ),
    ] = False,
    rate: Annotated[
        float | None, typer.Option(min=1, help="Copy at most so many rows a second.")
    ] = None,
    chunk_seconds: Annotated[
        float,
        typer.Option(min=0.01, max=30, help="What one page of rows may take on either side."),
    ] = 0.5,
    as_json: AsJson = False,
) -> None:
    """Capture changes, copy all rows, then carry changes over until told to stop."""
    from strangler_proxy.cli.data_told import ForPeople, ForPrograms
    from strangler_proxy.handover.ledger import open_ledger
    from strangler_proxy.handover.run import Ending, Mover, Wishes

    wishes = Wishes(until_caught_up, rate, chunk_seconds)
    teller = ForPrograms() if as_json else ForPeople()
    path = _ledger(moves, name)
    with _outcome(as_json, path), _stopping() as stopping:
        move = _move(moves, name)
        ends = _ends(move)
        with open_ledger(path, "start") as ledger, teller:
            ending = Mover(move, ends, ledger, teller, stopping, wishes).run()
    _say_end(ending, as_json)
    if ending is Ending.EARLY:
        raise typer.Exit(STOPPED)


@data.command(epilog=f"Example:  strangler data status posts --json | jq .waiting\n\n{_CODES}")
def status(name: MoveArgument, moves: MovesPath = DEFAULT_MOVES, as_json: AsJson = False) -> None:
    """Show where a move stands: rows, lag, capture, tables, last verification, who runs it."""
    from strangler_proxy.cli.data_told import status_as_json, status_lines, status_table
    from strangler_proxy.handover.status import look

    with _outcome(as_json):
        move = _move(moves, name)
        found = look(move, _ends(move), _ledger(moves, name))
    if as_json:
        typer.echo(json.dumps(status_as_json(found), indent=2))
    else:
        if found.tables:
            show(status_table(found))
        for line in status_lines(found):
            typer.echo(line)
    if not found.well:
        raise typer.Exit(FAILED)


@data.command(
    epilog="Examples:  strangler data verify posts   (also while `start` runs)   "
    f"strangler data verify posts --repair   (while it does not)\n\n{_CODES}"
)
def verify(
    name: MoveArgument,
    moves: MovesPath = DEFAULT_MOVES,
    repair: Annotated[
        bool, typer.Option("--repair", help="Copy rows that differ again, and verify them.")
    ] = False,
    shown: Annotated[
        int, typer.Option("--show", min=0, max=1000, help="Print so many differing rows.")
    ] = _SHOWN,
    as_json: AsJson = False,
) -> None:
    """Compare every row of both sides; print rows that differ, with both values."""
    from strangler_proxy.handover.ledger import keep_verified, stamp, utc_now

    ledger = _ledger(moves, name)
    with _outcome(as_json):
        move = _move(moves, name)
        began = stamp(utc_now())
        report = _repaired(move, ledger) if repair else _compared(move, ledger, shown)
        keep_verified(
            ledger,
            {"at": began, "agrees": report.agrees, "rows": report.rows, "differ": report.total},
        )
    _say_report(report, shown, as_json)
    if not report.agrees:
        raise typer.Exit(FAILED)


@data.command(epilog=f"Example:  strangler data remove posts --yes\n\n{_CODES}")
def remove(
    name: MoveArgument,
    moves: MovesPath = DEFAULT_MOVES,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take away what the move made in both databases; rows at the target stay."""
    from strangler_proxy.handover.ledger import open_ledger
    from strangler_proxy.handover.removal import remove as take_away

    with _outcome(as_json):
        move = _move(moves, name)
        ends = _ends(move)
        with open_ledger(_ledger(moves, name), "remove") as ledger:
            if not yes:
                _confirm(
                    f"{name}: capture at {ends.source.shown} ends, changes that wait are "
                    "forgotten, and a later start copies everything anew. Remove it?"
                )
            take_away(move, ends, ledger)
    if as_json:
        typer.echo(json.dumps({"ok": True, "removed": name}))
    else:
        typer.echo(f"{name}: its triggers and tables are gone at both sides; moved rows stay")


def _move(moves: Path, name: str) -> "Move":
    from strangler_proxy.handover.move import load_moves

    found = load_moves(moves)
    move = found.move(name)
    if move is None:
        known = ", ".join(each.name for each in found.moves)
        raise _Usage(f"{moves} has no move '{name}'; it has: {known}")
    return move


def _ends(move: "Move") -> "Ends":
    """Both databases; what is wrong with the variables is a matter of usage."""
    from strangler_proxy.handover.faults import HandoverRefused
    from strangler_proxy.handover.site import open_ends

    try:
        return open_ends(move)
    except HandoverRefused as refused:
        raise _Usage(*refused.sentences) from refused


def _ledger(moves: Path, name: str) -> Path:
    from strangler_proxy.handover.ledger import ledger_path

    return ledger_path(moves, name)


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise _Usage("there is no terminal to ask at: give --yes")
    if not typer.confirm(question, err=True):
        raise _Usage("nothing was removed")


def _compared(move: "Move", ledger: Path, shown: int) -> "Report":
    from strangler_proxy.cli.data_told import counting
    from strangler_proxy.handover.comparing import compare
    from strangler_proxy.handover.ledger import read_ledger
    from strangler_proxy.handover.site import open_site
    from strangler_proxy.handover.standing import Phase, standing

    phase = standing(read_ledger(ledger)).phase
    if phase != Phase.TAIL:
        typer.echo(f"{move.name} is {phase}: rows that are not copied yet will differ", err=True)
    with open_site(move, _ends(move)) as site, counting() as progress:
        return compare(site, shown, progress)


def _repaired(move: "Move", ledger: Path) -> "Report":
    from strangler_proxy.cli.data_told import counted, counting
    from strangler_proxy.handover.comparing import compare_and_repair
    from strangler_proxy.handover.ledger import open_ledger
    from strangler_proxy.handover.site import open_site

    def told(report: "Report") -> None:
        typer.echo(f"copying again what differs: {counted(report.total)}", err=True)

    with (
        open_ledger(ledger, "verify --repair") as held,
        open_site(move, _ends(move)) as site,
        counting() as progress,
    ):
        return compare_and_repair(site, held, told, progress)


def _say_report(report: "Report", shown: int, as_json: bool) -> None:
    from dataclasses import replace

    from strangler_proxy.cli.data_told import report_as_json

    cut = replace(report, differences=report.differences[:shown])
    typer.echo(json.dumps(report_as_json(cut), indent=2) if as_json else str(cut))


def _say_end(ending: "Ending", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"event": "end", "ending": str(ending)}))
    else:
        typer.echo(f"{ending}; the same command goes on from here")


class _Usage(Exception):
    """The command cannot be meant as it stands; each argument is a sentence about why."""


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Set by Ctrl-C and SIGTERM; a second one ends the process, which loses nothing either."""
    stopping = threading.Event()

    def told(number: int, _: object) -> None:
        stopping.set()
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _outcome(as_json: bool, ledger: Path | None = None) -> Iterator[None]:
    """What goes wrong with a move, as an exit code and all that there is to say about it.

    With a ledger: what is refused once the move was begun has failed, and was not merely asked for
    in vain.
    """
    from strangler_proxy.handover.faults import HandoverFault, HandoverRefused
    from strangler_proxy.handover.ledger import LedgerError, LedgerLocked
    from strangler_proxy.handover.site import Claimed

    try:
        yield
    except ConfigError as refused:
        _end(BAD_CONFIG, as_json, *map(str, refused.problems))
    except _Usage as refused:
        _end(BAD_CONFIG, as_json, *map(str, refused.args))
    except LedgerError as fault:
        _end(BAD_CONFIG, as_json, str(fault))
    except (LedgerLocked, Claimed) as locked:
        _end(LOCKED, as_json, str(locked))
    except HandoverRefused as refused:
        _end(FAILED if _begun(ledger) else BAD_CONFIG, as_json, *refused.sentences)
    except (HandoverFault, OSError) as fault:
        _end(FAILED, as_json, str(fault))
    except Exception as fault:
        if not _of_a_driver(fault):
            raise
        _end(FAILED, as_json, f"a database refused a statement: {str(fault).strip()}")


def _begun(ledger: Path | None) -> bool:
    from strangler_proxy.handover.ledger import read_ledger
    from strangler_proxy.handover.standing import standing

    return ledger is not None and standing(read_ledger(ledger)).begun is not None


def _of_a_driver(fault: Exception) -> bool:
    return any(base.__module__.partition(".")[0] in _DRIVERS for base in type(fault).__mro__)


def _end(code: int, as_json: bool, *sentences: str) -> NoReturn:
    if not as_json:
        stop(code, "\n".join(sentences))
    typer.echo(json.dumps({"ok": False, "exit_code": code, "problems": sentences}))
    raise typer.Exit(code)
