"""What the measuring scripts have in common: their command line, their table, their JSON."""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from rich.console import Console
from rich.table import Table

from scripts.benchmarks.machine import describe
from scripts.processes import ComponentFailedError, Fleet

Cell = str | float | None


@dataclass(frozen=True, slots=True)
class Result:
    """A table; every row has a cell for each column, None where there is nothing to tell."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def as_json(self) -> dict[str, object]:
        """The table as an object, with the machine."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows, "machine": asdict(describe())}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a measurement keeps its files and starts its programs; both are gone after it."""

    folder: Path
    fleet: Fleet


Measure = Callable[[Place], Result]


def run(measure: Measure, description: str | None, arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit status: 0, or 1 when a program did not start."""
    parser = argparse.ArgumentParser(
        prog=f"scripts/measure {Path(sys.argv[0]).stem}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print an object instead of a table")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    try:
        with TemporaryDirectory(prefix="strangler-measure-") as name:
            folder = Path(name)
            with Fleet(folder / "log") as fleet:
                result = measure(Place(folder, fleet))
    except ComponentFailedError as fault:
        print(f"measure: {fault}", file=sys.stderr)
        return 1
    _show(result, as_json=options.json)
    return 0


def _show(result: Result, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result.as_json(), indent=1))
        return
    table = Table(title=result.title)
    for number, column in enumerate(result.columns):
        table.add_column(column, justify="right" if number else "left")
    for row in result.rows:
        table.add_row(*(told(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else 110).print(table)


def told(cell: Cell) -> str:
    """A cell for people: thousands with commas, three digits of what is small."""
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    return f"{cell:,.0f}" if cell >= 1000 or cell == int(cell) else f"{cell:.3g}"


def _end(_signal: int, _frame: object) -> NoReturn:
    """Leave through every `finally`, so that nothing stays behind."""
    raise SystemExit(143)
