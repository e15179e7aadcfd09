"""Commands that hand the writes of a move's tables over: cutover, and back again: rollback."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from strangler_proxy.cli.app import (
    DEFAULT_PATH,
    FAILED,
    AsJson,
    ConfigPath,
    show,
)
from strangler_proxy.cli.data.options import (
    DEFAULT_MOVES,
    CatchUpSeconds,
    DespiteWriters,
    DrainSeconds,
    Execute,
    HoldSeconds,
    MoveArgument,
    MovesPath,
    SkipVerify,
    WritersSeconds,
)
from strangler_proxy.cli.data.shared import (
    CODES,
    STOPPED,
    Usage,
    data,
    ends_of,
    ledger_of,
    move_named,
    outcome,
    proxies_of,
    stopping,
)

if TYPE_CHECKING:
    from strangler_proxy.handover.cutover import Wishes
    from strangler_proxy.handover.readiness import Check
    from strangler_proxy.handover.takeover import Takeover


def _handing(side: str) -> Callable[..., None]:
    """The command that hands the writes over to this side: both have the same options."""

    def hand_over(
        name: MoveArgument,
        moves: MovesPath = DEFAULT_MOVES,
        config: ConfigPath = DEFAULT_PATH,
        hold_s: HoldSeconds = 2.0,
        drain_s: DrainSeconds = 1.0,
        writers_s: WritersSeconds = 0.5,
        catch_up_s: CatchUpSeconds = 60.0,
        skip_verify: SkipVerify = False,
        despite_writers: DespiteWriters = False,
        execute: Execute = False,
        as_json: AsJson = False,
    ) -> None:
        from strangler_proxy.handover.cutover import Wishes

        wishes = Wishes(
            *(hold_s, drain_s, writers_s),
            catch_up_s=catch_up_s,
            whole=not skip_verify,
            despite_writers=despite_writers,
        )
        _hand_over(side, name, moves, config, wishes, execute, as_json)

    return hand_over


data.command(
    "cutover",
    help="Hand the writes over to the new tables: all of them, or nothing has changed.",
    epilog="Examples:  strangler data cutover posts   (the plan, and whether all is ready)   "
    f"strangler data cutover posts --execute --hold-s 3\n\n{CODES}",
)(_handing("candidate"))
data.command(
    "rollback",
    help="Hand the writes back to the old tables, with all that was written since.",
    epilog="Examples:  strangler data rollback posts   (the plan, and whether all is ready)   "
    f"strangler data rollback posts --execute   (every write since is kept)\n\n{CODES}",
)(_handing("control"))


def _hand_over(
    side: str,
    name: str,
    moves: Path,
    config: Path,
    wishes: "Wishes",
    execute: bool,
    as_json: bool,
) -> None:
    from strangler_proxy.cli.data.handing_told import Telling, handed_as_json, handed_lines
    from strangler_proxy.handover.takeover import NotReady, Takeover
    from strangler_proxy.handover.turn import refuse_taken
    from strangler_proxy.handover.way import Owner

    ledger = ledger_of(moves, name)
    with outcome(as_json, ledger), stopping() as stop, Telling(as_json) as telling:
        move = move_named(moves, name)
        proxies = proxies_of(move, config)
        wishes = replace(wishes, writers=move.writers)
        takeover = Takeover(
            *(move, ends_of(move), ledger, proxies, Owner(side), wishes, stop),
            *(telling.said, telling.ended),
        )
        if execute:
            refuse_taken(ledger)  # whose the tables are is being decided
        _refuse_never(takeover)
        if not execute:
            _plan(takeover, as_json)
            return
        try:
            handed = takeover.run()
        except NotReady as fault:
            _say_checks(takeover, fault.checks, as_json)
            raise typer.Exit(FAILED) from None
    if as_json:
        typer.echo(json.dumps(handed_as_json(takeover, handed)))
    else:
        show(*handed_lines(takeover, handed))
    if handed is not None and not handed.done:
        raise typer.Exit(STOPPED if stop.is_set() else FAILED)


def _refuse_never(takeover: "Takeover") -> None:
    """There is nothing to roll back before the first cut-over."""
    from strangler_proxy.handover.ownership import ownership_beside, read_ownership
    from strangler_proxy.handover.way import Owner

    owned = read_ownership(ownership_beside(takeover.ledger))
    if takeover.to == Owner.CONTROL and not owned.cut_overs and not owned.intent:
        name = takeover.move.name
        raise Usage(f"the control owns the tables of {name}, which was never cut over")


def _plan(takeover: "Takeover", as_json: bool) -> None:
    from strangler_proxy.handover.ownership import ownership_beside, read_ownership
    from strangler_proxy.handover.readiness import not_ready

    owned = read_ownership(ownership_beside(takeover.ledger))
    checks = takeover.look()
    if owned.owner == takeover.to and not owned.intent:
        already = f"the {takeover.to} owns the tables of {takeover.move.name} already"
        typer.echo(json.dumps({"ok": True, "already": already}) if as_json else already)
        return
    _say_checks(takeover, checks, as_json)
    if not_ready(checks):
        raise typer.Exit(FAILED)


def _say_checks(takeover: "Takeover", checks: "Sequence[Check]", as_json: bool) -> None:
    from strangler_proxy.cli.data.handing_told import plan_as_json, plan_shown

    if as_json:
        typer.echo(json.dumps(plan_as_json(takeover, checks)))
    else:
        show(*plan_shown(takeover, checks))
