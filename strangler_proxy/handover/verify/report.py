"""What a verification found, as values and as lines for people. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from strangler_proxy.handover.counted import counted
from strangler_proxy.handover.databases.port import Row, TableName

LONGEST_TEXT = 500
Texts = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that the sides do not have alike.

    `key` is neutral. `source` and `target` hold the canonical text of every column in the order of
    `columns` (None: NULL), cut at LONGEST_TEXT characters; None where that side has no such row.
    `unlike` are the places of the columns that differ. `stale`: entries that explain it still
    waited when it was looked at last. `raw_keys`: at both sides, where they are known.
    """

    table: TableName
    to: TableName
    key: Row
    columns: tuple[str, ...]
    source: Texts | None
    target: Texts | None
    unlike: tuple[int, ...]
    stale: bool = False
    raw_keys: tuple[Row | None, Row | None] = (None, None)

    @property
    def what(self) -> Literal["missing", "extra", "different"]:
        """Of the target's row."""
        if self.target is None:
            return "missing"
        return "extra" if self.source is None else "different"

    def __str__(self) -> str:
        key = ", ".join(map(str, self.key))
        place = f"{self.table} {key}" if self.table == self.to else f"{self.table}→{self.to} {key}"
        lines = [f"{place}: {_SAID[self.what]}{' (changes still wait)' if self.stale else ''}"]
        for at in self.unlike:
            source, target = _shown(self.source, at), _shown(self.target, at)
            lines.append(f"  {self.columns[at]}: source {source}, target {target}")
        return "\n".join(lines)


_SAID = {
    "missing": "missing at the target",
    "extra": "at the target only",
    "different": "different",
}


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome: rows of the source and sums of chunks that were looked at, and what differs.

    `differences` are the first ones only; `total` counts all of them, `stale` those among them that
    waiting changes explain. Where `complete` is False there were too many to go on: at least
    `total`. `rechecked` rows had differed for a while, and then agreed.
    """

    rows: int
    chunks: int
    differences: tuple[Difference, ...]
    total: int
    stale: int
    rechecked: int
    complete: bool
    seconds: float
    table_rows: Mapping[TableName, int] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Everything was looked at, and nothing differs."""
        return self.complete and not self.total

    def __str__(self) -> str:
        rate = f"{counted(self.rows)} in {self.seconds:.1f} s"
        if self.agrees:
            return f"both sides agree: {rate}"
        differ = counted(self.total, "row differs", "rows differ")
        least = "" if self.complete else "at least "
        stale = f", {self.stale:,} explained by changes that still wait" if self.stale else ""
        hidden = self.total - len(self.differences)
        more = [f"... and {hidden:,} more"] if hidden else []
        lines = [f"{least}{differ}{stale}: {rate}", *map(str, self.differences), *more]
        return "\n".join(lines)


def shortened(texts: Texts | None) -> Texts | None:
    """The texts as a report keeps them."""
    return texts if texts is None else tuple(map(_cut, texts))


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}... ({len(text):,} characters)"


def _shown(texts: Texts | None, at: int) -> str:
    if texts is None:
        return "no row"
    text = texts[at]
    return "NULL" if text is None else repr(text)
