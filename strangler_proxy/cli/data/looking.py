"""Commands that look at a move, and put rows right that differ: status, verify."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strangler_proxy.cli.app import FAILED, AsJson, show
from strangler_proxy.cli.data.options import DEFAULT_MOVES, MoveArgument, MovesPath
from strangler_proxy.cli.data.shared import (
    CODES,
    breaking_off,
    data,
    ends_of,
    ledger_of,
    move_named,
    outcome,
)

if TYPE_CHECKING:
    from strangler_proxy.handover.move import Move
    from strangler_proxy.handover.verify import Report

_SHOWN = 20


@data.command(epilog=f"Example:  strangler data status posts --json | jq .waiting\n\n{CODES}")
def status(name: MoveArgument, moves: MovesPath = DEFAULT_MOVES, as_json: AsJson = False) -> None:
    """Show where a move stands: rows, lag, capture, tables, last verification, who runs it."""
    from strangler_proxy.cli.data.told import status_as_json, status_lines, status_table
    from strangler_proxy.handover.status import look

    with outcome(as_json), breaking_off():
        move = move_named(moves, name)
        found = look(move, ends_of(move), ledger_of(moves, name))
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
    f"strangler data verify posts --repair   (it stands aside meanwhile)\n\n{CODES}"
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

    ledger = ledger_of(moves, name)
    with outcome(as_json), breaking_off():
        move = move_named(moves, name)
        began = stamp(utc_now())
        report = _repaired(move, ledger) if repair else _compared(move, ledger, shown)
        keep_verified(
            ledger,
            {"at": began, "agrees": report.agrees, "rows": report.rows, "differ": report.total},
        )
    _say_report(report, shown, as_json)
    if not report.agrees:
        raise typer.Exit(FAILED)


def _compared(move: "Move", ledger: Path, shown: int) -> "Report":
    from strangler_proxy.cli.data.told import counting
    from strangler_proxy.handover.comparing import compare
    from strangler_proxy.handover.ledger import read_ledger
    from strangler_proxy.handover.ownership import ownership_beside, read_ownership
    from strangler_proxy.handover.site import open_site
    from strangler_proxy.handover.standing import Phase, standing

    phase = standing(read_ledger(ledger)).phase
    if phase != Phase.TAIL:
        typer.echo(f"{move.name} is {phase}: rows that are not copied yet will differ", err=True)
    owner = read_ownership(ownership_beside(ledger)).owner
    with open_site(move, ends_of(move)) as site, counting() as progress:
        return compare(site, shown, progress, owner)


def _repaired(move: "Move", ledger: Path) -> "Report":
    from strangler_proxy.cli.data.told import counting
    from strangler_proxy.handover.comparing import compare_and_repair
    from strangler_proxy.handover.counted import counted
    from strangler_proxy.handover.site import open_site
    from strangler_proxy.handover.turn import take_turn

    def told(report: "Report") -> None:
        typer.echo(f"copying again what differs: {counted(report.total)}", err=True)

    with (
        take_turn(ledger, "verify --repair") as held,
        open_site(move, ends_of(move)) as site,
        counting() as progress,
    ):
        return compare_and_repair(site, held, told, progress)


def _say_report(report: "Report", shown: int, as_json: bool) -> None:
    from dataclasses import replace

    from strangler_proxy.cli.data.told import report_as_json

    cut = replace(report, differences=report.differences[:shown])
    typer.echo(json.dumps(report_as_json(cut), indent=2) if as_json else str(cut))
