"""How far a backfill is, as values, and two ways to tell: a bar for people, JSON for programs.

The values are made purely: `Meter` is told what was done and when, and reads no clock.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from strangler_proxy.handover.counted import counted

MEMORY_S = 10.0  # the rate is that of about so long: steady, and soon right after a change


@dataclass(frozen=True, slots=True)
class Advance:
    """Where a table is. `total` is the source's own estimate: statistics, not a count."""

    table: str
    rows: int  # copied, those of earlier runs too
    total: int | None
    rows_per_s: float | None
    seconds_left: float | None
    waiting: bool = False  # a throttle holds the move back
    done: bool = False


Report = Callable[[Advance], None]


@dataclass(slots=True)
class Meter:
    """Makes advances of one table out of rows and times."""

    table: str
    total: int | None
    rows: int
    now: float
    rate: float | None = None

    def add(self, rows: int, now: float) -> Advance:
        """So many rows more are committed at `now`."""
        elapsed = max(now - self.now, 1e-6)
        fresh = rows / elapsed
        weight = min(1.0, elapsed / MEMORY_S)
        # A first page says little, but more than nothing; then it is a mean that forgets.
        self.rate = fresh if self.rate is None else self.rate + weight * (fresh - self.rate)
        self.rows += rows
        self.now = now
        return self.advance()

    def advance(self, waiting: bool = False, done: bool = False) -> Advance:
        """Where the table is as of the last rows."""
        left = None
        if done:
            left = 0.0
        elif self.total is not None and self.rate:
            # More rows than were estimated: how many are left is not known, so nothing is claimed.
            left = (self.total - self.rows) / self.rate if self.total >= self.rows else None
        total = self.rows if done else self.total
        return Advance(self.table, self.rows, total, self.rate, left, waiting, done)


class JsonLines:
    """A line of JSON for each advance."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __call__(self, advance: Advance) -> None:
        """Write it at once: what reads this wants to know now."""
        self._out.write(json.dumps(asdict(advance)) + "\n")
        self._out.flush()


class Bars:
    """A bar for each table on a terminal; elsewhere one line for a table that is done.

    Used in a `with` statement, so that the terminal is left as it was.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[told]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, advance: Advance) -> None:
        """Show it."""
        if not self._console.is_terminal:
            if advance.done:
                self._console.print(f"{advance.table}: {told(advance)}", markup=False)
            return
        if advance.table not in self._tasks:
            self._tasks[advance.table] = self._bars.add_task(advance.table, told="")
        self._bars.update(
            self._tasks[advance.table],
            total=advance.total,
            completed=advance.rows,
            told=told(advance),
        )


def told(advance: Advance) -> str:
    """An advance in words: rows, rows a second, time left."""
    words = [counted(advance.rows)]
    if advance.done:
        return f"{words[0]}, done"
    if advance.total is not None:
        words[0] = f"{advance.rows:,} of about {counted(advance.total)}"
    if advance.waiting:
        return f"{words[0]}, told to wait"
    if advance.rows_per_s:
        words.append(f"{advance.rows_per_s:,.0f} a second")
    if advance.seconds_left is not None:
        minutes, seconds = divmod(round(advance.seconds_left), 60)
        words.append(f"{minutes}:{seconds:02d} left")
    return ", ".join(words)
