"""Carry captured changes into documents: each document that a changed row is in, as it is now.

The law is that of tail.py: entries and rows are read in one snapshot of the source, documents are
acknowledged by a majority of the target, then exactly those entries are deleted. Documents are
whole and set by `_id`, so applying the same entries again changes nothing.

A changed row of an embedded table names two documents: that of the parent it has now, and that
which has it at the target. A row whose parent is not there is in no document; verify tells of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from strangler_proxy.handover.capture import Entry
from strangler_proxy.handover.databases.conversion import reading
from strangler_proxy.handover.databases.mongodb.session import MongoSession
from strangler_proxy.handover.databases.mongodb.side import (
    Document,
    Shape,
    Tree,
    document_side,
    trees,
)
from strangler_proxy.handover.databases.port import Pair, Row, Session
from strangler_proxy.handover.documents.rows import DocumentRows, SqlRows, built
from strangler_proxy.handover.faults import Clash, HandoverRefused
from strangler_proxy.handover.tail import Applied, Queue

_ENTRIES = 1_000


@dataclass(slots=True)
class _Changes:
    """What a collection must become: documents as they are now, and `_id`s that are gone."""

    collection: str
    documents: list[Document] = field(default_factory=list)
    gone: list[Any] = field(default_factory=list)


class DocumentTail:
    """See tail.Tail."""

    def __init__(
        self,
        move: str,
        pairs: Sequence[Pair],
        queue: Queue,
        source: Session,
        target: MongoSession,
    ) -> None:
        self._trees = trees(pairs)
        self._queue = queue
        self._source = source
        self._target = target
        target.claim(f"{move} tail")

    def step(self, most: int = _ENTRIES) -> Applied:
        """Apply up to so many entries; nothing is done when none waits.

        Raises HandoverRefused for a truncated table and for documents that the target cannot take.
        """
        with self._source.snapshot():
            entries = self._queue.entries(self._source, most + 1)
            more, entries = len(entries) > most, entries[:most]
            changed = self._keys(entries)
            changes = [self._changes(tree, changed) for tree in self._trees]
        if not entries:
            return Applied()
        self._apply(changes)
        self._queue.forget(self._source, entries)
        written = sum(len(each.documents) for each in changes)
        return Applied(len(entries), written, sum(len(each.gone) for each in changes), more)

    def carry(self, keys: Mapping[Pair, Sequence[Row]]) -> None:
        """Make the documents of these rows, by neutral key, what they are at the source now."""
        with self._source.snapshot():
            changes = [self._changes(tree, keys) for tree in self._trees]
        self._apply(changes)

    def _changes(self, tree: Tree, keys: Mapping[Pair, Sequence[Row]]) -> _Changes:
        rows, target = SqlRows(self._source), DocumentRows(self._target, tree)
        wanted = dict.fromkeys(keys.get(tree.root, ()))
        for child, shape in zip(tree.children, target.documents.arrays, strict=True):
            wanted |= dict.fromkeys(_parents(child, shape, keys.get(child, ()), rows, target))
        root = tree.root.source
        found = built(target.documents, tree, rows, rows.find(root, list(wanted)))
        gone = [target.documents.root.identifier(key) for key in wanted if key not in found]
        return _Changes(target.collection, list(found.values()), gone)

    def _keys(self, entries: Sequence[Entry]) -> dict[Pair, list[Row]]:
        """The neutral keys of the entries, each once, by pair."""
        found: dict[Pair, list[Row]] = {}
        for pair in (pair for tree in self._trees for pair in tree.pairs):
            name = str(pair.source.table.name)
            raw = dict.fromkeys(entry.key for entry in entries if entry.table == name)
            found[pair] = reading(self._source.dialect, pair.source.key_cells)(raw)
        return found

    def _apply(self, changes: Sequence[_Changes]) -> None:
        try:
            for each in changes:
                self._target.delete(each.collection, each.gone)
                self._target.put(each.collection, each.documents)
        except Clash:
            self._make_room(changes)

    def _make_room(self, changes: Sequence[_Changes]) -> None:
        """Two documents may exchange the value of a unique index."""
        try:
            for each in changes:
                self._target.delete(each.collection, [found["_id"] for found in each.documents])
                self._target.put(each.collection, each.documents)
        except Clash as clash:
            raise HandoverRefused(f"the target cannot take a changed row: {clash}") from clash


def _parents(
    child: Pair, shape: Shape, keys: Sequence[Row], rows: SqlRows, target: DocumentRows
) -> list[Row]:
    """The neutral keys of the documents that these rows are in, here or there."""
    if not keys:
        return []
    by = document_side(child).by_parent()
    here = [by.key_of(row) for row in rows.find(child.source, keys)]
    there = [target.documents.root.key(found["_id"]) for found in target.holding(shape, keys)]
    return [key for key in (*here, *there) if None not in key]
