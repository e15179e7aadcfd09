"""Are tables and documents the same? Both read whole, and compared here; see verify.

A MongoDB cannot sum what SQL databases sum, so rows come out of documents and are compared value by
value. Memory holds a page of each side. The tables are read with what is embedded under each row,
the documents of the same keys beside them; then all documents are read once more, for what the
tables have not; then the tables are asked for rows that no document could have.

It sees each value as `verify` does, and besides these does not see: the order of an array's
elements, fields that the move does not have, and whether a field is null or not there.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple, Self

from strangler_proxy.handover.databases.conversion import reading
from strangler_proxy.handover.databases.mongodb.side import Tree, trees
from strangler_proxy.handover.databases.port import Database, Pair, Row
from strangler_proxy.handover.documents.looking import (
    Look,
    Suspect,
    alike,
    differences,
    table_side,
)
from strangler_proxy.handover.documents.rows import by_key
from strangler_proxy.handover.verify.recheck import Pending, Tail
from strangler_proxy.handover.verify.report import Report
from strangler_proxy.handover.verify.verify import Limits, Progress, Tally

_PAGE = 500
_DOUBTED = 100


class _Step(NamedTuple):
    """Rows of one table that were looked at, and those of any table that seem to differ."""

    pair: Pair
    rows: int
    suspects: list[Suspect]


class DocumentVerifier:
    """See verify.Verifier; either side may have the documents."""

    def __init__(
        self,
        pairs: Sequence[Pair],
        source: Database,
        target: Database,
        limits: Limits | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._dialect = None if source.kind == "mongodb" else source.dialect
        self._trees = trees(pairs)
        self._source = source.session(statement_s=self.limits.statement_s)
        try:
            self._target = target.session(statement_s=self.limits.statement_s)
        except BaseException:
            self._source.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        with closing(self._source), closing(self._target):
            pass

    def verify(
        self,
        pairs: Sequence[Pair],
        *,
        pending: Pending | None = None,
        tail: Tail | None = None,
        progress: Progress | None = None,
    ) -> Report:
        """Read both sides whole; what differs is looked at again while changes explain it."""
        tally = Tally(self.limits, time.monotonic())
        for tree in trees(pairs):
            look = Look(tree, self._source, self._target)
            for step in _steps(look, tree):
                tally.chunks += 1
                tally.rows[step.pair.source.table.name] += step.rows
                if progress and step.rows:
                    progress(step.pair.source.table.name, step.rows)
                if self._judged(look, step.suspects, tally, pending, tail):
                    return tally.report()
        return tally.report()

    def verify_keys(
        self,
        changed: Sequence[tuple[Pair, Sequence[Row]]],
        *,
        pending: Pending | None = None,
        tail: Tail | None = None,
    ) -> Report:
        """Compare the rows of these raw source keys, with all that is embedded beside them.

        Keys may repeat; a row that is at neither side agrees.
        """
        tally = Tally(self.limits, time.monotonic())
        for tree in self._trees:
            look = Look(tree, self._source, self._target)
            suspects = dict[Suspect, None]()
            for pair, raw in changed:
                if pair in tree.pairs:
                    keys = self._neutral(pair, raw)
                    tally.rows[pair.source.table.name] += len(keys)
                    suspects |= dict.fromkeys(look.around(pair, keys))
            if self._judged(look, list(suspects), tally, pending, tail):
                break
        return tally.report()

    def verify_rows(
        self, suspects: Sequence[Suspect], *, pending: Pending | None, tail: Tail | None
    ) -> Report:
        """Compare rows that are known by their neutral keys."""
        tally = Tally(self.limits, time.monotonic())
        for tree in self._trees:
            some = [suspect for suspect in suspects if suspect.pair in tree.pairs]
            for suspect in some:
                tally.rows[suspect.pair.source.table.name] += 1
            look = Look(tree, self._source, self._target)
            if self._judged(look, some, tally, pending, tail):
                break
        return tally.report()

    def _judged(
        self,
        look: Look,
        suspects: Sequence[Suspect],
        tally: Tally,
        pending: Pending | None,
        tail: Tail | None,
    ) -> bool:
        """Count what differs; whether it is more than is wanted."""
        for start in range(0, len(suspects), _DOUBTED):
            some = suspects[start : start + _DOUBTED]
            tally.suspects += len(some)
            tally.add(differences(look, some, self.limits, pending, tail))
            if tally.full:
                return True
        return False

    def _neutral(self, pair: Pair, raw: Sequence[Row]) -> list[Row]:
        """Keys of documents are neutral."""
        if self._dialect is None:
            return list(raw)
        return reading(self._dialect, pair.source.key_cells)(raw)


def _steps(look: Look, tree: Tree) -> Iterator[_Step]:
    yield from _beside_tables(look, tree)
    yield from _beside_documents(look, tree)
    for child in tree.children:
        lost = look.tables.without_parent(child, tree.root)
        yield _Step(child, len(lost), [Suspect(child, key) for key in lost])


def _beside_tables(look: Look, tree: Tree) -> Iterator[_Step]:
    """Every row, with its children; and what the documents of the same keys have."""
    root = table_side(tree.root)
    for rows in look.tables.pages(root, _PAGE):
        keys = [root.key_of(row) for row in rows]
        documents = look.documents.by_identifiers(keys)
        for pair in tree.pairs:
            here = rows if pair == tree.root else _flat(look.tables.children(pair, keys))
            there = [
                row
                for each in documents
                for row in look.documents.documents.rows(each, look.shape(pair))
            ]
            yield _Step(pair, len(here), _unlike(pair, here, there))


def _beside_documents(look: Look, tree: Tree) -> Iterator[_Step]:
    """What is in documents whose row the tables have not."""
    side, root = table_side(tree.root), look.documents.documents.root
    named = replace(side, cells=side.key_cells, key=tuple(range(len(side.key))))
    for documents in look.documents.pages(_PAGE):
        keyed = {root.key(document["_id"]): document for document in documents}
        extra = keyed.keys() - set(look.tables.find(named, list(keyed)))
        for pair in tree.pairs:
            rows = [
                row
                for key in extra
                for row in look.documents.documents.rows(keyed[key], look.shape(pair))
            ]
            yield _Step(pair, 0, [Suspect(pair, pair.target.key_of(row)) for row in rows])


def _unlike(pair: Pair, here: Sequence[Row], there: Sequence[Row]) -> list[Suspect]:
    """Keys whose rows are not one here, one there, and alike."""
    rows, others = by_key(pair.target, here), by_key(pair.target, there)
    return [
        Suspect(pair, key)
        for key in rows.keys() | others.keys()
        if not (
            len(one := rows.get(key, [])) == len(other := others.get(key, [])) == 1
            and alike(pair, one[0], other[0])
        )
    ]


def _flat(rows: Mapping[Row, list[Row]]) -> list[Row]:
    return [row for some in rows.values() for row in some]
