"""Rows through the conversions of their cells, touching only the values that need one. Pure.

A value that a conversion refuses raises HandoverRefused, naming its column.
"""

from collections.abc import Callable, Iterable, Sequence

from strangler_proxy.handover.databases.port import Cell, Convert, Dialect, Row
from strangler_proxy.handover.faults import HandoverRefused

RowConvert = Callable[[Iterable[Sequence[object]]], list[Row]]


def reading(dialect: Dialect, cells: Sequence[Cell]) -> RowConvert:
    """What turns rows, as the driver gives them for these cells, into neutral values."""
    return _rows(cells, [dialect.read(cell).convert for cell in cells])


def writing(dialect: Dialect, cells: Sequence[Cell]) -> RowConvert:
    """What turns rows of neutral values into parameters for these cells."""
    return _rows(cells, [dialect.write(cell).convert for cell in cells])


def _rows(cells: Sequence[Cell], converts: Sequence[Convert | None]) -> RowConvert:
    needed = [(place, convert) for place, convert in enumerate(converts) if convert]

    def convert(rows: Iterable[Sequence[object]]) -> list[Row]:
        if not needed:
            return [tuple(row) for row in rows]
        converted = []
        for row in rows:
            values = list(row)
            for place, change in needed:
                if values[place] is not None:
                    try:
                        values[place] = change(values[place])
                    except (ValueError, TypeError, ArithmeticError) as fault:
                        raise HandoverRefused(f"column {cells[place].sql} {fault}") from fault
            converted.append(tuple(values))
        return converted

    return convert
