"""Carry changed documents back into tables: a row for the document, one for each of its elements.

Changes are read from the stream first, then the documents as they are now; rows are committed at
the target; then the stream's mark goes on behind exactly those changes. The stream has the order of
commits and only what a majority has, so nothing comes before a mark that was seen after it.

A row of an embedded table that its document has no more may have gone into another one, whose own
change comes later or was read already: the documents that have it are looked up and carried along,
so that it is deleted only where none has it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from strangler_proxy.handover.databases.conversion import writing
from strangler_proxy.handover.databases.mongodb.session import MongoSession
from strangler_proxy.handover.databases.mongodb.side import (
    Document,
    Shape,
    Tree,
    document_side,
    trees,
)
from strangler_proxy.handover.databases.port import Pair, Row, Session, Side
from strangler_proxy.handover.documents.rows import DocumentRows, SqlRows
from strangler_proxy.handover.faults import Clash, HandoverRefused
from strangler_proxy.handover.tail import Applied, Queue

_ENTRIES = 1_000
_KEYS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class _Changes:
    """What a table must become."""

    side: Side
    rows: list[Row]
    gone: list[Row]


class RowTail:
    """See tail.Tail; its source has the documents."""

    def __init__(
        self,
        move: str,
        pairs: Sequence[Pair],
        queue: Queue,
        source: MongoSession,
        target: Session,
    ) -> None:
        self._trees = trees(pairs)
        self._queue = queue
        self._source = source
        self._target = target
        target.claim(f"{move} tail")

    def step(self, most: int = _ENTRIES) -> Applied:
        """Apply up to so many changes; nothing is done when none waits.

        Raises HandoverRefused for a collection that was dropped, for documents that are not the
        move's, and for rows that the target cannot take.
        """
        entries = self._queue.entries(self._source, most + 1)
        more, entries = len(entries) > most, entries[:most]
        if not entries:
            return Applied()
        changed = {
            tree.root: list(
                dict.fromkeys(
                    entry.key
                    for entry in entries
                    if entry.table == str(tree.root.source.table.name)
                )
            )
            for tree in self._trees
        }
        changes = [each for tree in self._trees for each in self._changes(tree, changed[tree.root])]
        self._apply(changes)
        self._queue.forget(self._source, entries)
        written = sum(len(each.rows) for each in changes)
        return Applied(len(entries), written, sum(len(each.gone) for each in changes), more)

    def carry(self, keys: Mapping[Pair, Sequence[Row]]) -> None:
        """Make the rows of these documents, and these rows themselves, what they are in documents
        now; all by neutral key.
        """
        for tree in self._trees:
            source, target = DocumentRows(self._source, tree), SqlRows(self._target)
            wanted = dict.fromkeys(keys.get(tree.root, ()))
            for child, shape in zip(tree.children, source.documents.arrays, strict=True):
                asked = list(keys.get(child, ()))
                holding = _keyed(source.holding(shape, asked), source.documents.root)
                wanted |= dict.fromkeys(holding)
                by = replace(child.target, key=document_side(child).by_parent().key)
                wanted |= dict.fromkeys(map(by.key_of, target.find(child.target, asked)))
            self._apply(self._changes(tree, list(wanted)))

    def _changes(self, tree: Tree, keys: Sequence[Row]) -> list[_Changes]:
        """Parents first."""
        source, target = DocumentRows(self._source, tree), SqlRows(self._target)
        shapes, root = source.documents.arrays, source.documents.root
        documents = _keyed(source.by_identifiers(keys), root)
        missing: list[list[Row]] = []
        for child, shape in zip(tree.children, shapes, strict=True):
            gone = self._left(child, shape, keys, documents, source, target)
            elsewhere = source.holding(shape, gone) if gone else []
            documents |= _keyed(elsewhere, root)
            missing.append(gone)
        changes = [_Changes(tree.root.target, [], [key for key in keys if key not in documents])]
        for found in documents.values():
            changes[0].rows.extend(source.documents.rows(found, root))
        for child, shape, gone in zip(tree.children, shapes, missing, strict=True):
            rows = [
                row for each in documents.values() for row in source.documents.rows(each, shape)
            ]
            there = {child.target.key_of(row) for row in rows}
            changes.append(_Changes(child.target, rows, [k for k in gone if k not in there]))
        return changes

    def _left(
        self,
        child: Pair,
        shape: Shape,
        keys: Sequence[Row],
        documents: Mapping[Row, Document],
        source: DocumentRows,
        target: SqlRows,
    ) -> list[Row]:
        """Keys of rows that the table has under these documents, and the documents have not."""
        there = {
            child.target.key_of(row)
            for document in documents.values()
            for row in source.documents.rows(document, shape)
        }
        under = target.children(child, keys).values()
        found = [child.target.key_of(row) for rows in under for row in rows]
        return [key for key in found if key not in there]

    def _apply(self, changes: Sequence[_Changes]) -> None:
        try:
            with self._target.transaction():
                self._write(changes)
        except Clash as clash:
            if self._target.enforces_references:
                raise HandoverRefused(f"the target cannot take a document: {clash}") from clash
            self._make_room(changes)

    def _make_room(self, changes: Sequence[_Changes]) -> None:
        """Two rows may exchange a unique value."""
        try:
            with self._target.transaction():
                for each in reversed(changes):
                    self._delete(each.side, [each.side.key_of(row) for row in each.rows])
                self._write(changes)
        except Clash as clash:
            raise HandoverRefused(f"the target cannot take a document: {clash}") from clash

    def _write(self, changes: Sequence[_Changes]) -> None:
        """Parents come first and go last."""
        dialect = self._target.dialect
        if not self._target.enforces_references:
            for each in reversed(changes):
                self._delete(each.side, each.gone)
        for each in changes:
            rows = writing(dialect, each.side.cells)(each.rows)
            if rows:
                self._target.execute_many(dialect.upsert(each.side), rows)
        if self._target.enforces_references:
            for each in reversed(changes):
                self._delete(each.side, each.gone)

    def _delete(self, side: Side, keys: Sequence[Row]) -> None:
        dialect = self._target.dialect
        written = writing(dialect, side.key_cells)(keys)
        for start in range(0, len(written), _KEYS_AT_ONCE):
            some = written[start : start + _KEYS_AT_ONCE]
            values = [value for key in some for value in key]
            self._target.execute(dialect.delete(side, len(some)), values)


def _keyed(documents: Sequence[Document], root: Shape) -> dict[Row, Document]:
    return {root.key(document["_id"]): document for document in documents}
