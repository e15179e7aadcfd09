"""Commands that plan a move and run it: plan, start."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strangler_proxy.cli.app import DEFAULT_PATH, AsJson, ConfigPath, show
from strangler_proxy.cli.data.options import DEFAULT_MOVES, MoveArgument, MovesPath
from strangler_proxy.cli.data.shared import (
    CODES,
    STOPPED,
    Usage,
    breaking_off,
    data,
    ends_of,
    ledger_of,
    move_named,
    outcome,
    proxies_of,
    stopping,
)

if TYPE_CHECKING:
    from strangler_proxy.handover.move import Move
    from strangler_proxy.handover.run import Ending

_WHOLE_STATEMENT_S = 3600.0  # rows without a document are looked for in whole tables


@data.command(epilog=f"Example:  strangler data plan posts -m moves.yaml\n\n{CODES}")
def plan(
    name: MoveArgument,
    moves: MovesPath = DEFAULT_MOVES,
    config: ConfigPath = DEFAULT_PATH,
    as_json: AsJson = False,
) -> None:
    """Show what a move would do, or all that stands against it; changes nothing."""
    from strangler_proxy.cli.data.told import plan_lines, plan_table
    from strangler_proxy.handover.faults import HandoverRefused
    from strangler_proxy.handover.plan import plan as make_plan
    from strangler_proxy.handover.site import open_site

    with outcome(as_json), breaking_off():
        move = move_named(moves, name)
        note, mistakes = _routes(move, config)
        try:
            with open_site(move, ends_of(move), _WHOLE_STATEMENT_S) as site:
                planned = make_plan(site)
        except HandoverRefused as refused:
            mistakes += refused.sentences
        if mistakes:
            raise Usage(*mistakes)
    if as_json:
        typer.echo(json.dumps({"ok": True, **asdict(planned)}, indent=2))
        return
    show(plan_table(planned))
    for line in plan_lines(planned):
        typer.echo(line)
    if note:
        typer.echo(note)
    typer.echo(f"Nothing was changed. Begin with:  strangler data start {name}")


@data.command(
    epilog="Examples:  strangler data start posts   (until Ctrl-C; run again, it goes on)"
    f"   strangler data start posts --until-caught-up --rate 20000 --json\n\n{CODES}"
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
    config: ConfigPath = DEFAULT_PATH,
    as_json: AsJson = False,
) -> None:
    """Capture changes, copy all rows, then carry changes over until told to stop.

    It follows whoever owns the tables, and stands aside while they are handed over. Once the move
    is retired it ends, with exit code 0.
    """
    from strangler_proxy.cli.data.told import ForPeople, ForPrograms
    from strangler_proxy.handover.ledger import Ledger
    from strangler_proxy.handover.run import Ending, Mover, Wishes, run_in_turn
    from strangler_proxy.handover.turn import Turn

    wishes = Wishes(until_caught_up, rate, chunk_seconds)
    teller = ForPrograms() if as_json else ForPeople()
    path = ledger_of(moves, name)
    with outcome(as_json, path), stopping() as stop:
        move = move_named(moves, name)
        if mistakes := _routes(move, config)[1]:
            raise Usage(*mistakes)
        ends, turn = ends_of(move), Turn(path)

        def mover(ledger: Ledger) -> Mover:
            return Mover(
                *(move, ends, ledger, teller, stop, wishes),
                proxies=lambda: proxies_of(move, config),
                aside=turn.taken,
            )

        with teller:
            ending = run_in_turn(path, mover, teller.said, stop)
    _say_end(name, ending, as_json)
    if ending is Ending.EARLY or (ending is Ending.ASIDE and until_caught_up):
        raise typer.Exit(STOPPED)


def _routes(move: "Move", config: Path) -> tuple[str, list[str]]:
    """A note where nothing can be said of the routes yet, and what is wrong with them."""
    if not move.routes:
        return "it names no routes yet: the cut-over needs those that write its tables", []
    if not move.proxies and not config.exists():
        return f"{config} is not there: its routes were not looked at", []
    try:
        proxies_of(move, config)
    except Usage as mistaken:
        return "", list(mistaken.args)
    return "", []


def _say_end(name: str, ending: "Ending", as_json: bool) -> None:
    from strangler_proxy.handover.run import Ending

    if as_json:
        typer.echo(json.dumps({"event": "end", "ending": str(ending)}))
    elif ending is Ending.RETIRED:
        typer.echo(f"{name} is retired: its tables are the candidate's, and nothing is carried")
    else:
        typer.echo(f"{ending}; the same command goes on from here")
