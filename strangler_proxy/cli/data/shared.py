"""What the commands about data share: what they open and ask, and how what goes wrong is told."""

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from strangler_proxy.cli.app import BAD_CONFIG, FAILED, app, stop
from strangler_proxy.cli.data.options import LedgersPath
from strangler_proxy.config import ConfigError

if TYPE_CHECKING:
    from strangler_proxy.handover.hold import Proxy
    from strangler_proxy.handover.move import Move
    from strangler_proxy.handover.site import Ends

STOPPED, LOCKED, UNSETTLED = 3, 4, 5
CODES = (
    "Exit codes:  0 done   1 failed, undone, not ready, or the sides differ   2 the command line, "
    "moves.yaml, strangler.yaml, a variable or the tables do not allow it   3 told to stop before "
    "it was done   4 another process is at work on this move   5 begun and not settled: run it "
    "again"
)
_DRIVERS = {"sqlite3", "psycopg", "pymysql"}

data = typer.Typer(
    help="Move a capability's data into its own database, while it is being written.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    epilog=CODES,
)
app.add_typer(data, name="data")


def move_named(moves: Path, name: str) -> "Move":
    """The move, or Usage with the names that there are."""
    from strangler_proxy.handover.move import load_moves

    found = load_moves(moves)
    move = found.move(name)
    if move is None:
        known = [each.name for each in found.moves]
        near = get_close_matches(name, known, 1)
        meant = f"; did you mean '{near[0]}'?" if near else ""
        raise Usage(f"{moves} has no move '{name}'; it has: {', '.join(known)}{meant}")
    return move


def proxies_of(move: "Move", config: Path) -> "Sequence[Proxy]":
    """The proxies of the move's routes; Usage with all that is wrong with routes and variables."""
    from strangler_proxy.config import load
    from strangler_proxy.handover import proxies
    from strangler_proxy.handover.faults import HandoverRefused
    from strangler_proxy.handover.routes import route_mistakes

    here = [place.config for place in move.proxies if place.config] if move.proxies else [config]
    mistakes = [each for path in here for each in route_mistakes(move, load(path), str(path))]
    try:
        found = proxies.proxies_of(move, config)
    except HandoverRefused as refused:
        mistakes += refused.sentences
    if mistakes:
        raise Usage(*mistakes)
    return found


def ends_of(move: "Move") -> "Ends":
    """Both databases; what is wrong with the variables is a matter of usage."""
    from strangler_proxy.handover.faults import HandoverRefused
    from strangler_proxy.handover.site import open_ends

    try:
        return open_ends(move)
    except HandoverRefused as refused:
        raise Usage(*refused.sentences) from refused


# Not in the command's context: Typer may bring a Click of its own, which Click's own calls miss.
_LEDGERS: ContextVar[Path | None] = ContextVar("ledgers", default=None)


@data.callback()
def remember(ledgers: LedgersPath = None) -> None:
    """Move a capability's data into its own database, while it is being written."""
    _LEDGERS.set(ledgers.resolve() if ledgers else None)


def ledger_of(moves: Path, name: str) -> Path:
    """Where the move's ledger is, as the command line that runs says."""
    from strangler_proxy.handover.ledger import ledger_path

    return ledger_path(moves, name, _LEDGERS.get())


def confirm(question: str) -> None:
    """Ask at the terminal; Usage where there is none, and for a no."""
    if not sys.stdin.isatty():
        raise Usage("there is no terminal to ask at: give --yes")
    if not typer.confirm(question, err=True):
        raise Usage("nothing was removed")


def confirm_by_name(told: str, name: str) -> None:
    """Have the name typed at the terminal; Usage where there is none, and for another."""
    if not sys.stdin.isatty():
        raise Usage("there is no terminal to ask at: give --yes")
    typer.echo(told, err=True)
    if typer.prompt(f"Type {name} to go on", err=True, default="", show_default=False) != name:
        raise Usage("nothing was changed")


class Usage(Exception):
    """The command cannot be meant as it stands; each argument is a sentence about why."""


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """Set by Ctrl-C, SIGTERM and a terminal that goes; a second one ends the process at once."""
    stop_it = threading.Event()

    def told(number: int, _: object) -> None:
        stop_it.set()
        signal.signal(number, signal.SIG_DFL)

    with _handled_by(told):
        yield stop_it


@contextmanager
def breaking_off() -> Iterator[None]:
    """Interrupted by those signals, wherever it is: for what may end in the middle of anything."""

    def told(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt  # which no driver takes for a fault of its own

    try:
        with _handled_by(told):
            yield
    except KeyboardInterrupt:
        from strangler_proxy.handover.takeover import TOLD, Interrupted

        raise Interrupted(TOLD) from None


@contextmanager
def _handled_by(told: Callable[[int, object], None]) -> Iterator[None]:
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, told) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def outcome(as_json: bool, ledger: Path | None = None) -> Iterator[None]:
    """What goes wrong with a move, as an exit code and all that there is to say about it.

    With a ledger: what is refused once the move was begun has failed, and was not merely asked for
    in vain.
    """
    from strangler_proxy.handover.claiming import Claimed
    from strangler_proxy.handover.cutover import Unsettled
    from strangler_proxy.handover.faults import HandoverFault, HandoverRefused
    from strangler_proxy.handover.ledger import LedgerError, LedgerLocked
    from strangler_proxy.handover.takeover import Interrupted

    try:
        yield
    except ConfigError as refused:
        end(BAD_CONFIG, as_json, *map(str, refused.problems))
    except Usage as refused:
        end(BAD_CONFIG, as_json, *map(str, refused.args))
    except LedgerError as fault:
        end(BAD_CONFIG, as_json, str(fault))
    except (LedgerLocked, Claimed) as locked:
        end(LOCKED, as_json, str(locked))
    except Interrupted as told:
        end(STOPPED, as_json, str(told))
    except Unsettled as fault:
        end(UNSETTLED, as_json, f"{fault}: run it again")
    except HandoverRefused as refused:
        end(FAILED if _begun(ledger) else BAD_CONFIG, as_json, *refused.sentences)
    except (HandoverFault, OSError) as fault:
        end(FAILED, as_json, str(fault))
    except Exception as fault:
        if not _of_a_driver(fault):
            raise
        end(FAILED, as_json, f"a database refused a statement: {str(fault).strip()}")


def _begun(ledger: Path | None) -> bool:
    from strangler_proxy.handover.ledger import read_ledger
    from strangler_proxy.handover.standing import standing

    return ledger is not None and standing(read_ledger(ledger)).begun is not None


def _of_a_driver(fault: Exception) -> bool:
    return any(base.__module__.partition(".")[0] in _DRIVERS for base in type(fault).__mro__)


def end(code: int, as_json: bool, *sentences: str) -> NoReturn:
    """End the command with a code and why."""
    if not as_json:
        stop(code, "\n".join(sentences))
    typer.echo(json.dumps({"ok": False, "exit_code": code, "problems": sentences}))
    raise typer.Exit(code)
