"""Pages of a table in its key's order: how large the next one is, and that each goes forward. Pure.

A page is large enough that its overhead does not matter and small enough that neither database is
kept busy for longer than a budget: long reads hold back vacuum and SQLite's writers, long writes
hold locks. Rows of 4 MB are read one a page; what a page may weigh bounds the mover's memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from strangler_proxy.handover.faults import HandoverFault

FIRST_ROWS = 200
MOST_BYTES = 4_000_000
_FULL = 0.8  # of what a page may weigh: one that is cut short costs more than two small ones


@dataclass(frozen=True, slots=True)
class PageSize:
    """How many rows the next page may have; `budget_s` is what one page may take on either side."""

    budget_s: float = 0.5
    rows: int = FIRST_ROWS
    least: int = 1
    most: int = 50_000

    def after(self, rows: int, elapsed_s: float, weight: int) -> "PageSize":
        """The size once a page of `rows`, `weight` bytes of text, took its slower side `elapsed_s`.

        It moves at most by half or by double at a time: one stall says little about the next page.
        A page much smaller than was allowed (a table's end, or heavy rows) proves nothing larger.
        """
        if rows < 1:
            return self
        by_time = rows * self.budget_s / max(elapsed_s, 1e-6)
        by_weight = rows * _FULL * MOST_BYTES / max(weight, 1)
        fitting = min(by_time, by_weight)
        bounded = min(max(fitting, self.rows / 2), self.rows * 2)
        if bounded > self.rows and rows < self.rows / 2:
            return self
        return replace(self, rows=int(min(max(bounded, self.least), self.most)))


@dataclass(frozen=True, slots=True)
class Cursor:
    """The raw key of the last row that was read; None before the first."""

    table: str
    key: tuple[Any, ...] | None = None

    def advanced(self, first: Sequence[Any], last: Sequence[Any]) -> "Cursor":
        """The cursor behind a page with these raw keys at its ends.

        HandoverFault if the page begins with the row that the last one ended with: then the
        database orders keys otherwise than it compares them, and going on would never end.
        """
        if self.key is not None and self.key in (tuple(first), tuple(last)):
            raise HandoverFault(
                f"table {self.table}: after the row with key {self.key} comes that row again. Its "
                "index may be damaged or follow another collation than its column: rebuild it "
                "(REINDEX) and run the same command again; what was moved so far is kept"
            )
        return replace(self, key=tuple(last))
