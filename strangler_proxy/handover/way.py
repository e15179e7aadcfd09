"""One direction of a move: from the side that owns the tables to the other, which follows. Pure.

The other direction has the same tables turned round. Columns that are expressions, or that the
source computes, have nowhere to go back to and are left out; where a row could not be written back
without them, or would be written back changed, there is no way back, and so no way at all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from strangler_proxy.handover import parts
from strangler_proxy.handover.databases.port import Cell, Column, Database, Kind, Pair, Side
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.pairing import merges
from strangler_proxy.handover.ports import CapturePort, FencePort

_ROUNDED = (Kind.DECIMAL, Kind.TIMESTAMP, Kind.TIME)


class Owner(StrEnum):
    """Whose tables take writes: named as the sides of a route, which are flipped along."""

    CONTROL = "control"
    CANDIDATE = "candidate"

    @property
    def other(self) -> "Owner":
        """The one that follows."""
        return Owner.CANDIDATE if self == Owner.CONTROL else Owner.CONTROL


@dataclass(frozen=True, slots=True)
class Way:
    """From the `owner`'s database to the other's; `back` are the pairs of the other direction."""

    move: str
    owner: Owner
    source: Database
    target: Database
    pairs: tuple[Pair, ...]
    back: tuple[Pair, ...]

    def turned(self) -> "Way":
        """The other direction; turned twice it is this one again."""
        return Way(self.move, self.owner.other, self.target, self.source, self.back, self.pairs)

    def reverse_capture(self) -> CapturePort:
        """What will capture the changes at the target, once it is the owner."""
        return parts.capture(self.target, self.move, [pair.source for pair in self.back])

    def source_fence(self) -> FencePort:
        """The fence of the owner's tables."""
        return parts.fence(self.source, self.move, [pair.source for pair in self.pairs])

    def target_fence(self) -> FencePort:
        """The fence of the tables that follow: shut until they are the owner's."""
        return parts.fence(self.target, self.move, [pair.target for pair in self.pairs])


def forward(move: str, source: Database, target: Database, pairs: Sequence[Pair]) -> Way:
    """The first direction of a move, the control being the owner.

    Raises HandoverRefused with every reason for which there would be no way back.
    """
    reasons = [reason for pair in pairs for reason in _against(pair)]
    homes = {pair.source.table.name.schema for pair in pairs} & {
        pair.target.table.name.schema for pair in pairs
    }
    if homes and (source.kind, source.shown) == (target.kind, target.shown):
        reasons.append(
            f"{move} moves tables within one schema of {source.shown}: what is kept there of one "
            "direction would be taken for the other's"
        )
    if reasons:
        raise HandoverRefused(reasons)
    back = tuple(_back(pair) for pair in pairs)
    return Way(move, Owner.CONTROL, source, target, tuple(pairs), back)


def _back(pair: Pair) -> Pair:
    kept = [place for place, cell in enumerate(pair.source.cells) if _written(cell)]
    return Pair(_side(pair.target, kept), _side(pair.source, kept))


def _side(side: Side, kept: list[int]) -> Side:
    cells = tuple(side.cells[place] for place in kept)
    return replace(side, cells=cells, key=tuple(kept.index(place) for place in side.key))


def _written(cell: Cell) -> bool:
    return cell.column is not None and not cell.column.generated


def _against(pair: Pair) -> Iterator[str]:
    """Why rows of the target could not come back to the source."""
    table = pair.source.table
    for cell in pair.source.key_cells:
        if not _written(cell):
            yield f"{table.name}.{cell.name} is computed by the source, so no row can come back"
    filled = {cell.name for cell in pair.source.cells if _written(cell)}
    for column in table.columns:
        if column.name not in filled and _must_be_filled(column):
            yield (
                f"{table.name}.{column.name} must be filled at the source, and nothing of "
                f"{pair.target.table.name} comes back to it: give it a default, or let it be NULL"
            )
    for source, target in zip(pair.source.cells, pair.target.cells, strict=True):
        if _written(source) and target.column and source.column:
            yield from _changed(pair, source, source.column, target.column)
    for source, target in zip(pair.source.key_cells, pair.target.key_cells, strict=True):
        if source.kind == Kind.TEXT and merges(source) and not merges(target):
            yield (
                f"{table.name}.{source.name} takes for one key what {pair.target.table.name}."
                f"{target.name} keeps apart: give both a collation of the same kind"
            )


def _changed(pair: Pair, cell: Cell, source: Column, target: Column) -> Iterator[str]:
    finer = source.scale is not None and target.scale is not None and target.scale > source.scale
    if cell.kind in _ROUNDED and finer:
        yield (
            f"{pair.source.table.name}.{source.name} keeps {source.scale} digits, and "
            f"{pair.target.table.name}.{target.name} has {target.scale}: coming back it would round"
        )


def _must_be_filled(column: Column) -> bool:
    return not (column.nullable or column.has_default or column.generated or column.identity)
