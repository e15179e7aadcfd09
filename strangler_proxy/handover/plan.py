"""What a move would do, from its tables as they are. Changes nothing."""

from dataclasses import dataclass

from strangler_proxy.handover.databases.port import Pair
from strangler_proxy.handover.loading.estimate import estimate
from strangler_proxy.handover.naming import change_table, checkpoint_table, mover_table
from strangler_proxy.handover.site import Site, changes_there, checkpoint_there


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


def plan(site: Site) -> Plan:
    """The plan of this move; HandoverRefused for tables that no trigger could watch."""
    missing = site.capture.missing(site.source)
    creates = []
    if not changes_there(site.source, site.move, site.home):
        creates.append(f"table {change_table(site.move.name)}")
        if site.source.dialect.kind == "sqlite":
            creates.append(f"table {mover_table(site.move.name)}")
    for pair in site.pairs:
        name = pair.source.table.name
        count = sum(sentence.startswith(f"{name}: ") for sentence in missing)
        if count:
            creates.append(f"{count} triggers on {name}")
    checkpoint = () if checkpoint_there(site.target, site.move) else (_checkpoint(site),)
    return Plan(
        site.move.name,
        site.ends.source.shown,
        site.ends.target.shown,
        site.move.routes,
        tuple(_table(site, pair) for pair in site.pairs),
        tuple(creates),
        checkpoint,
    )


def _checkpoint(site: Site) -> str:
    return f"table {checkpoint_table(site.move.name)}"


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
