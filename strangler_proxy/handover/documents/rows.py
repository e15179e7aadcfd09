"""Rows by their neutral keys, at either side of a move into documents; and documents of rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from strangler_proxy.handover.databases.conversion import reading, writing
from strangler_proxy.handover.databases.mongodb.session import MongoSession
from strangler_proxy.handover.databases.mongodb.side import (
    Document,
    Documents,
    Shape,
    Tree,
    document_side,
    is_document,
)
from strangler_proxy.handover.databases.port import Pair, Row, Session, Side

_AT_ONCE = 200
_MOST_LOST = 20_000


class SqlRows:
    """The rows of SQL tables."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, side: Side, keys: Sequence[Row]) -> list[Row]:
        """Neutral rows with these neutral keys, as they are now."""
        dialect = self._session.dialect
        raw = writing(dialect, side.key_cells)(keys)
        read, found = reading(dialect, side.cells), list[Row]()
        most = max(1, min(_AT_ONCE, dialect.most_parameters // max(1, len(side.key))))
        for start in range(0, len(raw), most):
            some = raw[start : start + most]
            sql = dialect.by_keys(side, len(some))
            found += read(self._session.rows(sql, [value for key in some for value in key]))
        wanted = set(keys)  # a collation may have found a key that is spelled otherwise
        return [row for row in found if side.key_of(row) in wanted]

    def children(self, pair: Pair, parents: Sequence[Row]) -> dict[Row, list[Row]]:
        """An embedded table's rows by their parent's key."""
        return by_key(self._by_parent(pair), self.find(self._by_parent(pair), parents))

    def pages(self, side: Side, rows: int) -> Iterator[list[Row]]:
        """All rows in pages of the key's order, neutral."""
        dialect, after = self._session.dialect, None
        read = reading(dialect, side.cells)
        while True:
            parameters = dialect.page_parameters(after) if after is not None else ()
            sql = dialect.page(side, after is not None, rows)
            found = self._session.rows(sql, parameters)
            if not found:
                return
            yield read(found)
            after = side.key_of(found[-1])

    def without_parent(self, child: Pair, root: Pair) -> list[Row]:
        """Neutral keys of an embedded table's rows that no document could have."""
        dialect, by = self._session.dialect, self._by_parent(child)
        side, parent = (_table(each) for each in (child, root))
        same = " AND ".join(
            f"parent.{above.sql} = child.{below.sql}"
            for above, below in zip(parent.key_cells, by.key_cells, strict=True)
        )
        key = ", ".join(dialect.read(cell).sql for cell in side.key_cells)
        found = self._session.rows(
            f"SELECT {key} FROM {dialect.table(side.table.name)} child "  # noqa: S608 - quoted
            f"WHERE NOT EXISTS (SELECT 1 FROM {dialect.table(parent.table.name)} parent "
            f"WHERE {same}) LIMIT {_MOST_LOST}"
        )
        return reading(dialect, side.key_cells)(found)

    @staticmethod
    def _by_parent(pair: Pair) -> Side:
        return replace(_table(pair), key=document_side(pair).by_parent().key)


class DocumentRows:
    """The rows of one tree's documents."""

    def __init__(self, session: MongoSession, tree: Tree) -> None:
        self._session = session
        self.documents = Documents(tree)
        self.collection = self.documents.root.side.collection

    def by_identifiers(self, keys: Sequence[Row]) -> list[Document]:
        """The documents with these keys that there are."""
        identifiers = [self.documents.root.identifier(key) for key in keys]
        return self._session.find(self.collection, "_id", identifiers)

    def holding(self, shape: Shape, keys: Sequence[Row]) -> list[Document]:
        """The documents whose array has an element with one of these keys."""
        first, wanted = shape.side.key[0], set(keys)
        values = {key[0]: shape.sent(first, key[0]) for key in keys}
        path = f"{shape.side.array}.{shape.side.cells[first].name}"
        return [
            document
            for document in self._session.find(self.collection, path, list(values.values()))
            if any(shape.side.key_of(row) in wanted for row in self.documents.rows(document, shape))
        ]

    def pages(self, rows: int) -> Iterator[list[Document]]:
        """All documents."""
        yield from self._session.store.scan(self.collection, rows)


def _table(pair: Pair) -> Side:
    return pair.source if is_document(pair.target) else pair.target


def by_key(side: Side, rows: Sequence[Row]) -> dict[Row, list[Row]]:
    """Rows in groups of one key."""
    found: dict[Row, list[Row]] = {}
    for row in rows:
        found.setdefault(side.key_of(row), []).append(row)
    return found


def built(
    documents: Documents, tree: Tree, rows: SqlRows, roots: Sequence[Row]
) -> Mapping[Row, Document]:
    """The documents of these rows, with their children as they are now, by neutral key."""
    side = documents.root.side
    keys = [side.key_of(row) for row in roots]
    arrays = [rows.children(child, keys) for child in tree.children]
    return {
        key: documents.made(row, [array.get(key, []) for array in arrays])
        for key, row in zip(keys, roots, strict=True)
    }
