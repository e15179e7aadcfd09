"""Copy again exactly the rows that a report lists, from the side that is the source of truth.

Call it where nothing else copies or tails this move: then a row that changes meanwhile has an entry
in the change table, which the tail applies afterwards, and nothing newer is overwritten.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Literal

from strangler_proxy.handover.databases.conversion import reading, writing
from strangler_proxy.handover.databases.port import Database, Pair, Row, Session
from strangler_proxy.handover.verify.bisect import Suspect
from strangler_proxy.handover.verify.recheck import Pending, Tail
from strangler_proxy.handover.verify.report import Report
from strangler_proxy.handover.verify.verify import Limits, Verifier

_AT_ONCE = 100


def repair(
    report: Report,
    pairs: Sequence[Pair],
    source: Database,
    target: Database,
    *,
    mover: str,
    truth: Literal["source", "target"] = "source",
    limits: Limits | None = None,
    pending: Pending | None = None,
    tail: Tail | None = None,
) -> Report:
    """Make the listed rows of the other side what they are at `truth`, and verify them again.

    Each row is read again first. Rows too many are deleted, children before parents, then rows are
    upserted, parents before children, each table in transactions marked as `mover`'s. Rows that
    the report only counted are left: verify again. `pairs` stand parents first.
    """
    named = [(pair, rows) for pair in pairs if (rows := _listed(report, pair))]
    right, wrong = (source, target) if truth == "source" else (target, source)
    copies = [(_Copy(pair, truth), rows) for pair, rows in named]
    with closing(right.session()) as reads, closing(wrong.session(mover)) as writes:
        for copy, rows in reversed(copies):
            copy.delete_extra(reads, writes, rows)
        for copy, rows in copies:
            copy.upsert(reads, writes, rows)
    with Verifier(source, target, limits) as verifier:
        return verifier.verify_rows(named, pending=pending, tail=tail)


def _listed(report: Report, pair: Pair) -> list[Suspect]:
    names = pair.source.table.name, pair.target.table.name
    return [
        Suspect(each.key, each.raw_keys)
        for each in report.differences
        if (each.table, each.to) == names
    ]


class _Copy:
    """One pair's rows, read at the side that is right and written at the other."""

    def __init__(self, pair: Pair, truth: Literal["source", "target"]) -> None:
        self._place = 0 if truth == "source" else 1
        sides = pair.source, pair.target
        self._right, self._wrong = sides[self._place], sides[1 - self._place]

    def delete_extra(self, reads: Session, writes: Session, rows: Sequence[Suspect]) -> None:
        for some in _some(rows):
            there = self._read(reads, some)
            extra = [each.key for each in some if each.key not in there]
            if extra:
                keys = writing(writes.dialect, self._wrong.key_cells)(extra)
                with writes.transaction():
                    delete = writes.dialect.delete(self._wrong, len(keys))
                    writes.execute(delete, [value for key in keys for value in key])

    def upsert(self, reads: Session, writes: Session, rows: Sequence[Suspect]) -> None:
        write = writing(writes.dialect, self._wrong.cells)
        for some in _some(rows):
            there = list(self._read(reads, some).values())
            if there:
                with writes.transaction():
                    writes.execute_many(writes.dialect.upsert(self._wrong), write(there))

    def _read(self, reads: Session, rows: Sequence[Suspect]) -> dict[Row, Row]:
        """The rows as they are now, by neutral key; one that a collation found is left out."""
        made = writing(reads.dialect, self._right.key_cells)([row.key for row in rows])
        raw_keys = [
            row.raw_keys[self._place] or written for row, written in zip(rows, made, strict=True)
        ]
        found = reads.rows(
            reads.dialect.by_keys(self._right, len(rows)),
            [value for key in raw_keys for value in key],
        )
        wanted = {row.key for row in rows}
        neutral = reading(reads.dialect, self._right.cells)(found)
        return {key: row for row in neutral if (key := self._right.key_of(row)) in wanted}


def _some(rows: Sequence[Suspect]) -> Iterator[Sequence[Suspect]]:
    for at in range(0, len(rows), _AT_ONCE):
        yield rows[at : at + _AT_ONCE]
