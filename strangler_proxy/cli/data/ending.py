"""Commands that end a move: remove."""

import json
from typing import Annotated

import typer

from strangler_proxy.cli.app import AsJson
from strangler_proxy.cli.data.shared import (
    CODES,
    DEFAULT_MOVES,
    MoveArgument,
    MovesPath,
    confirm,
    data,
    ends_of,
    ledger_of,
    move_named,
    outcome,
)


@data.command(epilog=f"Example:  strangler data remove posts --yes\n\n{CODES}")
def remove(
    name: MoveArgument,
    moves: MovesPath = DEFAULT_MOVES,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take away what the move made in both databases; rows at the target stay."""
    from strangler_proxy.handover.ledger import open_ledger
    from strangler_proxy.handover.removal import remove as take_away

    with outcome(as_json):
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
