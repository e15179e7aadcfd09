"""Which rows really differ, while writes go on: those that nothing explains, looked at again.

One look reads a row at the source, then asks whether the change table has an entry for its key,
then reads it at the target, then at the source again. An entry is removed only after its change is
committed at the target. So where the source's row was the same at both ends and no entry waited in
between, the target had all of it, and a difference is one; unless the row changed and changed back
between two reads, against which it must look the same a second time. Waits and looks are bounded.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from strangler_proxy.handover.databases.canonical import same
from strangler_proxy.handover.databases.port import Pair, Row
from strangler_proxy.handover.verify.bisect import Suspect
from strangler_proxy.handover.verify.report import Difference, Texts, shortened

Pending = Callable[[Pair, Collection[Row]], Collection[Row]]
"""Which of these neutral keys have entries in the change table now."""

Tail = Callable[[], object]
"""Applies the entries that wait, and returns."""


class Look(Protocol):
    """How rows are read; see sides.Asked."""

    def texts(self, side: int, keys: Mapping[Row, Row | None]) -> Mapping[Row, Texts]:
        """The texts of the rows with these keys at one side (0: the source)."""


@dataclass(frozen=True, slots=True)
class Patience:
    """What explains differences, and how long to wait for it. Without `pending` nothing does."""

    pending: Pending | None
    tail: Tail | None
    looks: int
    pause_s: float
    sleep: Callable[[float], None]


class _Seen(NamedTuple):
    source: Texts | None
    target: Texts | None


def settle(
    pair: Pair, look: Look, suspects: Sequence[Suspect], patience: Patience
) -> list[Difference]:
    """The suspects that differ, those still explained at the last look being stale."""
    doubted = {suspect.key: suspect for suspect in suspects}
    before: dict[Row, _Seen] = {}
    settled: list[Difference] = []
    for left in reversed(range(patience.looks)):
        seen, explained = _looked(pair, look, doubted, patience.pending)
        for key in doubted.keys() - seen.keys():
            del doubted[key]  # it agrees
        for key, rows in seen.items():
            sure = patience.pending is None or before.get(key) == rows
            if not left or (sure and key not in explained):
                suspect = doubted.pop(key)
                settled.append(_difference(pair, suspect, rows, stale=key in explained))
        if not doubted:
            break
        before = {key: rows for key, rows in seen.items() if key not in explained}
        _wait(patience, bool(explained))
    return settled


def _looked(
    pair: Pair, look: Look, doubted: Mapping[Row, Suspect], pending: Pending | None
) -> tuple[dict[Row, _Seen], set[Row]]:
    """The rows that differ, and which of those may do so only for now."""
    source = look.texts(0, {key: each.raw_keys[0] for key, each in doubted.items()})
    waiting = set(pending(pair, list(doubted))) if pending else set()
    target = look.texts(1, {key: each.raw_keys[1] for key, each in doubted.items()})
    seen = {
        key: rows
        for key in doubted
        if _differ(pair, *(rows := _Seen(source.get(key), target.get(key))))
    }
    again = look.texts(0, {key: doubted[key].raw_keys[0] for key in seen}) if seen else {}
    changed = {key for key in seen if again.get(key) != source.get(key)}
    return seen, (waiting | changed) & seen.keys()


def _differ(pair: Pair, source: Texts | None, target: Texts | None) -> bool:
    """Whether two rows, None where there is none, are not the same."""
    if source is None or target is None:
        return source is not target
    return bool(_places(pair, source, target))


def _places(pair: Pair, source: Texts, target: Texts) -> tuple[int, ...]:
    return tuple(
        place
        for place, cell in enumerate(pair.source.cells)
        if cell.compared and not same(cell.kind, source[place], target[place])
    )


def _difference(pair: Pair, suspect: Suspect, rows: _Seen, *, stale: bool) -> Difference:
    source, target = rows
    return Difference(
        pair.source.table.name,
        pair.target.table.name,
        suspect.key,
        tuple(cell.name for cell in pair.target.cells),
        shortened(source),
        shortened(target),
        _places(pair, source, target) if source and target else (),
        stale,
        suspect.raw_keys,
    )


def _wait(patience: Patience, explained: bool) -> None:
    if patience.tail:
        patience.tail()
    elif explained:
        patience.sleep(patience.pause_s)
