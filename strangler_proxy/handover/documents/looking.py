"""Rows of one tree as both sides have them, looked at until nothing explains a difference.

The order of looks is that of verify.recheck: the source, then what waits, then the target, then the
source again. A change of an embedded row waits also while one of its documents does.
"""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from strangler_proxy.handover.databases.canonical import same, text_of
from strangler_proxy.handover.databases.mongodb.session import MongoSession
from strangler_proxy.handover.databases.mongodb.side import (
    Shape,
    Tree,
    document_side,
    is_document,
)
from strangler_proxy.handover.databases.port import Pair, Row, Session, Side
from strangler_proxy.handover.documents.rows import DocumentRows, SqlRows
from strangler_proxy.handover.verify.recheck import Pending, Tail
from strangler_proxy.handover.verify.report import Difference, Texts, shortened
from strangler_proxy.handover.verify.verify import Limits


class Suspect(NamedTuple):
    """A row that seems to differ, by its neutral key."""

    pair: Pair
    key: Row


Found = Mapping[Suspect, tuple[Row, ...]]
"""Rows of a key; more than one where several documents have an element of it."""


class Look:
    """One tree at both sides; either of them has the documents."""

    def __init__(self, tree: Tree, source: Session, target: Session) -> None:
        self.tree = tree
        documents, tables = (
            (source, target) if isinstance(source, MongoSession) else (target, source)
        )
        if not isinstance(documents, MongoSession):
            raise TypeError("neither side has documents")
        self.from_documents = documents is source
        self.documents = DocumentRows(documents, tree)
        self.tables = SqlRows(tables)
        shapes = (self.documents.documents.root, *self.documents.documents.arrays)
        self._shapes = dict(zip(tree.pairs, shapes, strict=True))

    def shape(self, pair: Pair) -> Shape:
        """How a pair's rows stand in documents."""
        return self._shapes[pair]

    def at(self, side: int, suspects: Sequence[Suspect]) -> Found:
        """The rows of these keys at the source (0) or the target."""
        found: dict[Suspect, tuple[Row, ...]] = {}
        for pair in dict.fromkeys(suspect.pair for suspect in suspects):
            keys = [suspect.key for suspect in suspects if suspect.pair == pair]
            in_documents = (side == 0) == self.from_documents
            rows = self._documented(pair, keys) if in_documents else self._tabled(pair, keys)
            for row in rows:
                name = Suspect(pair, pair.target.key_of(row))
                found[name] = (*found.get(name, ()), row)
        return {name: rows for name, rows in found.items() if name in set(suspects)}

    def around(self, pair: Pair, keys: Sequence[Row]) -> list[Suspect]:
        """These rows, and where they are documents all that is embedded in them at either side."""
        found = [Suspect(pair, key) for key in keys]
        if document_side(pair).array is None:
            documents = self.documents.by_identifiers(keys)
            for child in self.tree.children:
                rows = [
                    *(row for each in self.tables.children(child, keys).values() for row in each),
                    *(
                        row
                        for each in documents
                        for row in self.documents.documents.rows(each, self.shape(child))
                    ),
                ]
                found += [Suspect(child, child.target.key_of(row)) for row in rows]
        return list(dict.fromkeys(found))

    def waiting(
        self, suspects: Sequence[Suspect], pending: Pending, seen: Sequence[Found]
    ) -> set[Suspect]:
        """Which of these have changes, of their own or of a document of theirs, that wait."""
        root, parents = self.tree.root, dict[Suspect, set[Row]]()
        for suspect in suspects:
            rows = [row for found in seen for row in found.get(suspect, ())]
            by = document_side(suspect.pair).by_parent if suspect.pair != root else None
            place = by().key if by else suspect.pair.target.key
            parents[suspect] = {tuple(row[at] for at in place) for row in rows}
            if by is None:
                parents[suspect].add(suspect.key)
        late = set(pending(root, list(set().union(*parents.values()))))
        found = {suspect for suspect in suspects if parents[suspect] & late}
        if not self.from_documents:
            for pair in dict.fromkeys(suspect.pair for suspect in suspects):
                keys = [suspect.key for suspect in suspects if suspect.pair == pair]
                found |= {Suspect(pair, key) for key in pending(pair, keys)}
        return found

    def _documented(self, pair: Pair, keys: Sequence[Row]) -> list[Row]:
        shape, root = self.shape(pair), self.tree.root
        if pair == root:
            documents = self.documents.by_identifiers(keys)
        else:
            documents = self.documents.holding(shape, keys)
        return [row for each in documents for row in self.documents.documents.rows(each, shape)]

    def _tabled(self, pair: Pair, keys: Sequence[Row]) -> list[Row]:
        return self.tables.find(table_side(pair), keys)


def table_side(pair: Pair) -> Side:
    """The side of a pair that is a table."""
    return pair.source if is_document(pair.target) else pair.target


def alike(pair: Pair, one: Row, other: Row) -> bool:
    """Whether two rows have the same values."""
    return one == other or not _unlike(pair, texts(pair, one), texts(pair, other))


def texts(pair: Pair, row: Row) -> Texts:
    """The canonical text of each value."""
    return tuple(
        None if value is None else text_of(cell.kind, value)
        for cell, value in zip(pair.target.cells, row, strict=True)
    )


def differences(
    look: Look,
    suspects: Sequence[Suspect],
    limits: Limits,
    pending: Pending | None,
    tail: Tail | None,
) -> list[Difference]:
    """Those that differ; what is still explained at the last look is stale."""
    doubted, settled = dict.fromkeys(suspects), list[Difference]()
    before: dict[Suspect, tuple[tuple[Row, ...], tuple[Row, ...]]] = {}
    for left in reversed(range(limits.looks)):
        asked = list(doubted)
        source = look.at(0, asked)
        waiting = look.waiting(asked, pending, [source, look.at(1, asked)]) if pending else set()
        target = look.at(1, asked)
        again = look.at(0, asked)
        explained = waiting | {each for each in asked if again.get(each) != source.get(each)}
        now = {each: (source.get(each, ()), target.get(each, ())) for each in asked}
        for each in asked:
            one, other = now[each]
            if _agree(each.pair, one, other):
                del doubted[each]
            elif not left or (
                each not in explained and (not pending or before.get(each) == now[each])
            ):
                del doubted[each]
                settled.append(_difference(each, one, other, stale=each in explained))
        if not doubted:
            break
        before = {each: rows for each, rows in now.items() if each not in explained}
        if tail:
            tail()
        elif explained:
            time.sleep(limits.pause_s)
    return settled


def _agree(pair: Pair, one: Sequence[Row], other: Sequence[Row]) -> bool:
    if len(one) != len(other) or len(one) > 1:
        return False
    return not one or alike(pair, one[0], other[0])


def _unlike(pair: Pair, one: Texts, other: Texts) -> tuple[int, ...]:
    return tuple(
        place
        for place, cell in enumerate(pair.target.cells)
        if not same(cell.kind, one[place], other[place])
    )


def _difference(
    suspect: Suspect, one: Sequence[Row], other: Sequence[Row], *, stale: bool
) -> Difference:
    """Of an element that several documents have, the one that is unlike is told."""
    pair, key = suspect
    source, target = one[:1], other[:1]
    if source and len(other) > 1:
        target = [row for row in other if not alike(pair, source[0], row)][:1]
    if target and len(one) > 1:
        source = [row for row in one if not alike(pair, row, target[0])][:1]
    here, there = (texts(pair, rows[0]) if rows else None for rows in (source, target))
    return Difference(
        pair.source.table.name,
        pair.target.table.name,
        key,
        tuple(cell.name for cell in pair.target.cells),
        shortened(here),
        shortened(there),
        _unlike(pair, here, there) if here and there else (),
        stale,
    )
