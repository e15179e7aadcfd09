"""Commands that end a move: retire, once its tables have moved for good, and remove."""

import json
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from strangler_proxy.cli.app import FAILED, AsJson
from strangler_proxy.cli.data.options import DEFAULT_MOVES, MoveArgument, MovesPath, Yes
from strangler_proxy.cli.data.shared import (
    CODES,
    breaking_off,
    confirm,
    confirm_by_name,
    data,
    ends_of,
    ledger_of,
    move_named,
    outcome,
    stopping,
)
from strangler_proxy.handover.counted import counted

if TYPE_CHECKING:
    from strangler_proxy.handover.retirement import Retiring


@data.command(
    epilog="Examples:  strangler data retire posts   (what would go, and what stands against it)   "
    f"strangler data retire posts --execute --drop-tables\n\n{CODES}"
)
def retire(
    name: MoveArgument,
    moves: MovesPath = DEFAULT_MOVES,
    drop_tables: Annotated[
        bool,
        typer.Option("--drop-tables", help="Drop the old tables too; else they stay, and shut."),
    ] = False,
    execute: Annotated[
        bool, typer.Option("--execute", help="Do it; without this only the plan is shown.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Leave the old tables behind for good: nothing is carried to them, and no way leads back."""
    from strangler_proxy.handover.retirement import Retirement

    path = ledger_of(moves, name)
    with outcome(as_json, path), stopping() as stop:
        move = move_named(moves, name)
        said = _nothing if as_json else typer.echo
        retirement = Retirement(
            *(move, ends_of(move), path, drop_tables, said), pause=_interruptible(stop)
        )
        planned = retirement.plan()
        if not execute:
            _say_retiring(planned, as_json)
            if planned.against:
                raise typer.Exit(FAILED)
            return
        if not planned.against and not yes:
            confirm_by_name(
                f"{name}: {_consequences(planned)}. No write is lost, and this cannot be undone",
                name,
            )
        retired = retirement.run()
    if as_json:
        typer.echo(json.dumps({"ok": True, "retired": name, "already": not retired}))
    else:
        typer.echo(
            f"{name} is retired" if retired else f"{name} was retired already; nothing was done"
        )


def _nothing(_: str) -> None:
    pass


def _interruptible(stop: threading.Event) -> Callable[[float], None]:
    from strangler_proxy.handover.takeover import Interrupted

    def pause(seconds: float) -> None:
        stop.wait(seconds)
        if stop.is_set():
            raise Interrupted("told to stop")

    return pause


def _consequences(planned: "Retiring") -> str:
    told = "changes are carried to the old tables no more, and there is no rollback"
    if planned.dropped:
        return f"{told}; dropped with all their rows: {', '.join(planned.dropped)}"
    return f"{told}; {', '.join(planned.kept)} stay as they are then, shut to every writer"


def _say_retiring(planned: "Retiring", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"ok": not planned.against, **asdict(planned)}))
        return
    typer.echo(f"{planned.move} is {planned.phase}; {_consequences(planned)}")
    if planned.waiting:
        typer.echo(
            f"{counted(planned.waiting, 'change waits', 'changes wait')}, carried over first"
        )
    for reason in planned.against:
        typer.echo(f"against it: {reason}")
    if not planned.against:
        drop = " --drop-tables" if planned.dropped else ""
        typer.echo(
            f"Nothing was changed. Do it with:  strangler data retire {planned.move} "
            f"--execute{drop}"
        )


@data.command(epilog=f"Example:  strangler data remove posts --yes\n\n{CODES}")
def remove(
    name: MoveArgument,
    moves: MovesPath = DEFAULT_MOVES,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take away what the move made in both databases; rows at the target stay."""
    from strangler_proxy.handover.ledger import open_ledger
    from strangler_proxy.handover.removal import remove as take_away

    with outcome(as_json), breaking_off():
        move = move_named(moves, name)
        ends = ends_of(move)
        with open_ledger(ledger_of(moves, name), "remove") as ledger:
            if not yes:
                confirm(
                    f"{name}: capture at {ends.source.shown} ends, changes that wait are "
                    "forgotten, and a later start copies everything anew. Remove it?"
                )
            take_away(move, ends, ledger)
    if as_json:
        typer.echo(json.dumps({"ok": True, "removed": name}))
    else:
        typer.echo(f"{name}: its triggers and tables are gone at both sides; moved rows stay")
