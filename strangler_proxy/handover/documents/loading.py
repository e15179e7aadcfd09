"""The first copy into documents: pages of encoded documents, and a checkpoint behind each.

A page is acknowledged by a majority before its checkpoint is written. Killed in between, the page
is read and written again: a document is set by its `_id`, so none is lost and none comes twice.
"""

import time
from collections.abc import Sequence
from contextlib import closing

import bson

from strangler_proxy.handover.databases import keys
from strangler_proxy.handover.databases.conversion import reading
from strangler_proxy.handover.databases.mongodb.client import CODEC
from strangler_proxy.handover.databases.mongodb.session import MongoSession
from strangler_proxy.handover.databases.mongodb.side import (
    Documents,
    DocumentSide,
    Tree,
    document_side,
    trees,
)
from strangler_proxy.handover.databases.port import Pair, Row, Session
from strangler_proxy.handover.documents.rows import SqlRows, built
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.loading.batch import Batch, shown
from strangler_proxy.handover.loading.checkpoint import Checkpoint
from strangler_proxy.handover.naming import array_index, checkpoint_table
from strangler_proxy.handover.pages import MOST_BYTES

_AT_ONCE = 50
_INSERTED_AT_ONCE = 1_000


class DocumentMeans:
    """See loading.means.Means."""

    def __init__(self, pairs: Sequence[Pair], target: MongoSession, move: str) -> None:
        self._trees = {tree.root: tree for tree in trees(pairs)}
        self._target, self._move = target, move

    def pairs(self) -> tuple[Pair, ...]:
        """The roots: what is embedded comes with them."""
        return tuple(self._trees)

    def checkpoints(self) -> "DocumentCheckpoints":
        """Documents of the move's own."""
        return DocumentCheckpoints(self._target, self._move, list(self._trees.values()))

    def source(self, session: Session, pair: Pair) -> "DocumentSource":
        """Pages of documents."""
        return DocumentSource(session, self._trees[pair])

    def target(self, pair: Pair) -> "DocumentTarget":
        """The collection."""
        return DocumentTarget(self._target, document_side(pair))


class DocumentSource:
    """See loading.sources.Source; lines are BSON."""

    def __init__(self, session: Session, tree: Tree) -> None:
        self._session, self._tree = session, tree
        self._documents = Documents(tree)
        self._read = reading(session.dialect, tree.root.source.cells)

    def page(self, after: Row | None, rows: int) -> Batch:
        """HandoverRefused names the row that BSON has no room for."""
        started, side = time.monotonic(), self._tree.root.source
        raw, cut = self._roots(after, rows)
        lines: list[bytes] = []
        for start in range(0, len(raw), _AT_ONCE):
            lines += self._encoded(raw[start : start + _AT_ONCE])
            if sum(map(len, lines)) >= MOST_BYTES and start + _AT_ONCE < len(raw):
                raw, cut = raw[: start + _AT_ONCE], True
                break
        weight = sum(map(len, lines))
        complete = len(raw) < rows and not cut
        elapsed = time.monotonic() - started
        return Batch(lines, lambda place: side.key_of(raw[place]), complete, weight, elapsed)

    def _roots(self, after: Row | None, rows: int) -> tuple[list[Row], bool]:
        """Raw rows, and whether they were too heavy to be all."""
        dialect, side = self._session.dialect, self._tree.root.source
        parameters = dialect.page_parameters(after) if after is not None else ()
        sql, found, weight = dialect.page(side, after is not None, rows), list[Row](), 0
        with (
            self._session.snapshot(),
            closing(self._session.stream(sql, parameters, _AT_ONCE)) as batches,
        ):
            for batch in batches:
                found += batch
                weight += sum(_weight(row) for row in batch)
                if weight >= MOST_BYTES:
                    return found, True
        return found, False

    def _encoded(self, raw: Sequence[Row]) -> list[bytes]:
        try:
            roots = self._read(raw)
            made = built(self._documents, self._tree, SqlRows(self._session), roots)
            return [bson.encode(document, codec_options=CODEC) for document in made.values()]
        except (HandoverRefused, bson.errors.BSONError, OverflowError) as fault:
            side = self._tree.root.source
            if len(raw) > 1:
                return [line for row in raw for line in self._encoded([row])]
            row = shown(side.key_of(raw[0]))
            raise HandoverRefused(f"table {side.table.name}, row {row}: {fault}") from fault


class DocumentTarget:
    """See loading.targets.Target."""

    def __init__(self, session: MongoSession, side: DocumentSide) -> None:
        self._session, self._collection = session, side.collection

    def load(self, lines: Sequence[bytes]) -> None:
        """Inserts; on Clash some may be there, which `merge` does not mind."""
        for start in range(0, len(lines), _INSERTED_AT_ONCE):
            some = lines[start : start + _INSERTED_AT_ONCE]
            self._session.store.insert(self._collection, some)

    def merge(self, lines: Sequence[bytes]) -> None:
        """Sets the fields of the documents with the same `_id`."""
        documents = [bson.decode(line, codec_options=CODEC) for line in lines]
        self._session.put(self._collection, documents)


class DocumentCheckpoints:
    """See loading.checkpoint.Checkpoints; written after what it speaks of."""

    def __init__(self, session: MongoSession, move: str, known: Sequence[Tree]) -> None:
        self._session, self._move = session, move
        self._collection = checkpoint_table(move)
        self._trees = {tree.root: tree for tree in known}
        self._rows: dict[str, int] = {}

    def begin(self, pair: Pair) -> Checkpoint:
        """Where this table stands; what its arrays are looked up by is indexed."""
        name, side = _name(pair), document_side(pair)
        found = self._session.kept(self._collection, name)
        if found is None:
            empty = not self._session.store.largest(side.collection, "_id")
            found = {"_id": name, "after": None, "rows": 0, "plain": empty, "done": False}
            self._session.put(self._collection, [found])
        self._session.store.create(side.collection)
        for child in self._trees[pair].children:
            self._index(document_side(child))
        self._rows[name] = found["rows"]
        after = keys.decode(found["after"]) if found["after"] else None
        return Checkpoint(after, found["rows"], found["plain"], found["done"])

    def _index(self, array: DocumentSide) -> None:
        """Which document has an element is asked for each row of it that changes."""
        name = array_index(self._move, str(array.array))
        index = {"_id": name, "index_of": array.collection}
        self._session.put(self._collection, [index])
        path = f"{array.array}.{array.cells[array.key[0]].name}"
        self._session.store.index(array.collection, path, name)

    def advance(self, pair: Pair, after: Row, rows: int) -> None:
        """So many documents more are acknowledged."""
        name = _name(pair)
        self._rows[name] += rows
        fields = {"_id": name, "after": keys.encode(after), "rows": self._rows[name]}
        self._session.put(self._collection, [fields])

    def finish(self, pair: Pair) -> None:
        """All are."""
        self._session.put(self._collection, [{"_id": _name(pair), "done": True}])


def drop_checkpoints(move: str, session: MongoSession) -> None:
    """How far the copy was is forgotten, and arrays have no index any more."""
    collection = checkpoint_table(move)
    for page in session.store.scan(collection, _AT_ONCE):
        for kept in page:
            if "index_of" in kept:
                session.store.drop_index(kept["index_of"], kept["_id"])
    session.store.drop(collection)


def copied_documents(
    session: MongoSession, move: str, pairs: Sequence[Pair]
) -> dict[str, tuple[int, bool]]:
    """How many documents of each table are there, and whether all are; by the pair's name.

    What is embedded comes with its documents, and is not counted.
    """
    found: dict[str, tuple[int, bool]] = {}
    for tree in trees(pairs):
        kept = session.kept(checkpoint_table(move), _name(tree.root)) or {}
        done = bool(kept.get("done"))
        found[_name(tree.root)] = (int(kept.get("rows", 0)), done)
    return found


def _name(pair: Pair) -> str:
    return f"{pair.source.table.name} > {pair.target.table.name}"


def _weight(row: Row) -> int:
    return sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
