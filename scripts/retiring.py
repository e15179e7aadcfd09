"""How far the monolith's retirement is, and what nobody needs behind it. Changes nothing."""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from scripts.carving import ROOT
from scripts.moving import moves_file, phase_of
from strangler_proxy.config import Config, ConfigError, Route, load
from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.databases.port import Session, TableName
from strangler_proxy.handover.faults import HandoverFault, HandoverRefused
from strangler_proxy.handover.move import load_moves
from strangler_proxy.handover.standing import Phase
from strangler_proxy.steps.gates.health import Checkup
from strangler_proxy.steps.http import health_of
from strangler_proxy.steps.leftovers import Leftover
from strangler_proxy.steps.script import Site

MONOLITH = "monolith"
MOVES = ("payment", "posts", "auth")
"""In the order in which they are retired: whose tables refer to others' come before those."""

ITS_VARIABLES = ("DATABASE_URL", "SEAMS_FILE", "AUTH_JWKS_URL")
SECRET = "JWT_SECRET"  # noqa: S105 - a name
CODE = ("monolith", "migrations/monolith", "deploy/monolith")
TESTS = "tests/*/monolith"


@dataclass(frozen=True, slots=True)
class Ended:
    """Moves whose retirement was begun, and those that can still go back."""

    begun: tuple[str, ...]
    left: tuple[str, ...]


def ended(site: Site) -> Ended:
    """By the ledgers of the moves. Raises LedgerError."""
    phases = {name: phase_of(name, site) for name in MOVES}
    begun = tuple(n for n in MOVES if phases[n] in (Phase.RETIREMENT, Phase.RETIRED))
    return Ended(begun, tuple(name for name in MOVES if name not in begun))


def no_way_back(site: Site) -> str | None:
    """Why the retirement cannot be undone; None while nothing of it was begun."""
    now = ended(site)
    if not now.begun:
        return None
    told = f"retired for good, with no way back: {', '.join(now.begun)}"
    if not now.left:
        return f"{told}; the monolith's tables are left behind"
    return (
        f"{told}; not yet: {', '.join(now.left)}. --execute completes the retirement; nothing was "
        "undone"
    )


def no_way_to_the_monolith(site: Site) -> str | None:
    """Why no capability may be led back to the monolith; None while it can serve one."""
    begun = ended(site).begun
    if not begun:
        return None
    return (
        f"the monolith is retired ({', '.join(begun)}): its tables are left behind, and going back "
        "to it would lead nowhere"
    )


def led(config: Config) -> list[str]:
    """The routes that lead some callers to the monolith."""
    return [
        route.name
        for route in config.routes
        if route.compose is None and MONOLITH in _serving(config, route)
    ]


def _serving(config: Config, route: Route) -> set[str | None]:
    if route.candidate is None:
        return {route.control}
    percent = config.serve_of(route).candidate_percent
    sides = ((route.control, percent < 100), (route.candidate, percent > 0))
    return {name for name, serves in sides if serves}


def routes_led(site: Site) -> Checkup:
    """Asks strangler.yaml, as it is at that moment, whether a route leads to the monolith."""

    def left() -> str | None:
        try:
            routes = led(load(site.config_path))
        except ConfigError as fault:
            return str(fault)
        return f"these lead to the monolith: {', '.join(routes)}" if routes else None

    return left


def needed(site: Site) -> Checkup:
    """The same, and whether it answers what no route names."""
    routes = routes_led(site)

    def left() -> str | None:
        if found := routes():
            return found
        if load(site.config_path).default == MONOLITH:
            return f"{site.config_path} lets the monolith answer what no route names"
        return None

    return left


def left_over(site: Site) -> Iterator[Leftover]:
    """What can be deleted now, as far as it can be looked for from here."""
    config = load(site.config_path)
    upstream = config.upstreams.get(MONOLITH)
    if upstream and health_of(upstream.direct_url, upstream.health or "/health")() is None:
        yield Leftover("process", ("the monolith, which answers still",), upstream.direct_url)
    yield from _tables()
    if upstream:
        kept = [
            route.name for route in config.routes if MONOLITH in (route.control, route.candidate)
        ]
        names = (f"upstream {MONOLITH}", *(f"control of {name}" for name in kept))
        mind = "scripts/up and the other steps read these: they go together"
        yield Leftover("routes", names, str(site.config_path), mind)
    if given := tuple(name for name in ITS_VARIABLES if os.environ.get(name)):
        yield Leftover("variables", given, "environment", "of the monolith alone; keep the others")
    if os.environ.get(SECRET):
        mind = "once the last token that the monolith has signed is over, a day after step 2"
        yield Leftover("secret", (SECRET,), "environment of every service", mind)
    there = [path for path in CODE if (ROOT / path).is_dir()]
    there += sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(TESTS))
    if there:
        yield Leftover("code", tuple(there), str(ROOT))


def _tables() -> Iterator[Leftover]:
    url = os.environ.get("DATABASE_URL")
    if not url:
        return
    try:
        found = _old_tables(url)
    except HandoverFault as fault:
        yield Leftover("tables", (f"not known: {fault}",), "DATABASE_URL")
        return
    if found:
        commands = f"strangler data retire NAME --execute --drop-tables -m {moves_file()}"
        mind = f"shut to writers; they are dropped by `{commands}` for {', '.join(MOVES)}"
        yield Leftover("tables", found, "DATABASE_URL", mind)


def _old_tables(url: str) -> tuple[str, ...]:
    moves = load_moves(moves_file())
    tables = [table.source for name in MOVES if (move := moves.move(name)) for table in move.tables]
    with closing(open_database(url).session()) as session:
        return tuple(str(table) for table in tables if _is_there(session, table))


def _is_there(session: Session, table: TableName) -> bool:
    try:
        session.describe(table)
    except HandoverRefused:
        return False
    return True
