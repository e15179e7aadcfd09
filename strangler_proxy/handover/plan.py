"""What a move would do, from its tables as they are. Changes nothing."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from strangler_proxy.handover import parts
from strangler_proxy.handover.counted import counted
from strangler_proxy.handover.databases.fences import fence_table
from strangler_proxy.handover.databases.port import Database, Pair
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.loading.estimate import estimate
from strangler_proxy.handover.naming import change_table, checkpoint_table, mover_table
from strangler_proxy.handover.ports import FencePort
from strangler_proxy.handover.site import Site, changes_there, checkpoint_there
from strangler_proxy.handover.way import Owner


@dataclass(frozen=True, slots=True)
class PlannedColumn:
    """A column of the target, where its values come from, and the kind that both sides agree on."""

    target: str
    source: str
    kind: str


@dataclass(frozen=True, slots=True)
class PlannedTable:
    """A table and where it goes; `rows` is its database's own estimate."""

    source: str
    target: str
    rows: int | None
    key: tuple[str, ...]
    columns: tuple[PlannedColumn, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The tables in their order, and what would be created at each side; empty: it is there."""

    move: str
    source: str
    target: str
    routes: tuple[str, ...]
    tables: tuple[PlannedTable, ...]
    source_creates: tuple[str, ...]
    target_creates: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def plan(site: Site) -> Plan:
    """The plan of this move.

    HandoverRefused with every reason why there would be no way back, and for tables that no trigger
    could watch.
    """
    way, name = site.way(), site.move.name
    if lost := parts.lost(site.pairs, site.source, site.target):
        raise HandoverRefused(lost)
    checkpoint = [] if checkpoint_there(site.target, site.move) else [checkpoint_table(name)]
    return Plan(
        name,
        site.ends.source.shown,
        site.ends.target.shown,
        site.move.routes,
        tuple(_table(site, pair) for pair in site.pairs),
        tuple(_made(site, way.source_fence())),
        (
            *(f"{_noun(site.ends.target)} {table}" for table in checkpoint),
            *_made(site.owned_by(Owner.CANDIDATE), way.target_fence()),
        ),
        parts.doubts(way.reverse_capture(), site.target),
    )


def _made(side: Site, fence: FencePort) -> Iterator[str]:
    """What is not there yet of capture and fence at the source of this side."""
    name, noun = side.move.name, _noun(side.ends.source)
    if not changes_there(side.source, side.move, side.home):
        yield f"{noun} {change_table(name)}"
        if side.ends.source.kind == "sqlite":
            yield f"table {mover_table(name)}"
    lacking = Counter(each.table for each in side.capture.lacking(side.source))
    for table, count in lacking.items():
        yield f"{counted(count, 'trigger')} on {table}"
    if fence.missing(side.source):
        what = {"table": "triggers"}.get(noun, "validators")
        yield f"{noun} {fence_table(name)} and its {what}"


def _noun(database: Database) -> str:
    return "collection" if database.kind == "mongodb" else "table"


def _table(site: Site, pair: Pair) -> PlannedTable:
    cells = zip(pair.source.cells, pair.target.cells, strict=True)
    return PlannedTable(
        str(pair.source.table.name),
        str(pair.target.table.name),
        estimate(site.source, pair.source.table),
        tuple(cell.name for cell in pair.source.key_cells),
        tuple(
            PlannedColumn(target.name, source.name or source.sql, str(source.kind))
            for source, target in cells
        ),
    )
