"""Whether a value's text may be loaded without being looked at. Pure.

Databases round what has too many digits, and say nothing. So a cell is loaded unseen only where the
types of both sides exclude that; all others go through the conversions of the port, which refuse.
"""

from strangler_proxy.handover.databases.port import Cell, Kind, Pair

_LONGEST_FRACTION = 6
_SINGLE = ("real", "float4", "float")


def fits(pair: Pair) -> bool:
    """Whether every value of the source's columns has room in the target's, by their types."""
    return all(
        _fits(source, target)
        for source, target in zip(pair.source.cells, pair.target.cells, strict=True)
    )


def takes_decimal(target: Cell, digits: int | None) -> bool:
    """Whether so many digits after the point (None: any number of them) are kept."""
    scale = target.column.scale if target.column else None
    return scale is None or (digits is not None and digits <= scale)


def takes_fraction(target: Cell, digits: int | None) -> bool:
    """Whether so many digits of a second (None: up to six) are kept."""
    scale = target.column.scale if target.column else None
    return scale is None or (_LONGEST_FRACTION if digits is None else digits) <= scale


def _fits(source: Cell, target: Cell) -> bool:
    scale = source.column.scale if source.column else None
    match target.kind:
        case Kind.DECIMAL:
            return takes_decimal(target, scale)
        case Kind.TIMESTAMP | Kind.TIME:
            return takes_fraction(target, scale)
        case Kind.FLOAT:
            return not _single(target) or _single(source)
    return True


def _single(cell: Cell) -> bool:
    return cell.column is not None and cell.column.declared.startswith(_SINGLE)
