"""A page of rows on its way: lines, and the raw keys that name them at the source."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from strangler_proxy.handover.databases.port import Row


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows in the key's order. `complete`: the table has none behind them."""

    lines: Sequence[bytes]
    key: Callable[[int], Row]
    """The raw key of a row, by its place."""
    complete: bool
    weight: int
    """Bytes of all lines."""
    read_s: float = 0.0

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def first(self) -> Row:
        """The raw key of the first row."""
        return self.key(0)

    @property
    def last(self) -> Row:
        """The raw key of the last row."""
        return self.key(len(self.lines) - 1)

    def halves(self) -> tuple["Batch", "Batch"]:
        """The same rows as two batches; there must be two rows at least."""
        middle = len(self.lines) // 2
        behind = self.key
        return (
            replace(self, lines=self.lines[:middle], complete=False),
            replace(self, lines=self.lines[middle:], key=lambda place: behind(place + middle)),
        )


def shown(key: Row) -> str:
    """A raw key for people."""
    return ", ".join(str(value) for value in key)
