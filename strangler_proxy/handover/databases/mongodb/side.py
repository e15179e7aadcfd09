"""Rows as documents of a collection, or as elements of an array in them. Pure.

A cell's column names its field. The key of a document is `_id`, or, where it has several columns,
fields of it: `_id.post_id`. An element does not repeat the key of its document: the cells named by
`by` are read from there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from strangler_proxy.handover.databases.mongodb.values import from_bson, to_bson
from strangler_proxy.handover.databases.port import Cell, Pair, Row, Side
from strangler_proxy.handover.faults import HandoverRefused

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DocumentSide(Side):
    """A moved table at MongoDB; `array`, `by` and `order` are of one that is embedded."""

    collection: str
    array: str | None = None
    by: tuple[str, ...] = ()
    order: tuple[str, ...] = ()

    def places(self, names: Sequence[str]) -> tuple[int, ...]:
        """Where the cells of these names are."""
        cells = [cell.name for cell in self.cells]
        return tuple(cells.index(name) for name in names)

    def by_parent(self) -> "DocumentSide":
        """The same rows named by their parent's key instead of their own."""
        return replace(self, key=self.places(self.by))


@dataclass(frozen=True, slots=True)
class Tree:
    """A document's root and what is embedded in it, as pairs."""

    root: Pair
    children: tuple[Pair, ...] = ()

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The root first."""
        return (self.root, *self.children)


def is_document(side: Side) -> TypeGuard[DocumentSide]:
    """Whether these rows are at MongoDB."""
    return isinstance(side, DocumentSide)


def document_side(pair: Pair) -> DocumentSide:
    """The side of a pair that is at MongoDB, whichever direction the pair has."""
    side = pair.target if is_document(pair.target) else pair.source
    if not is_document(side):
        raise TypeError(f"{pair.source.table.name} is at MongoDB on neither side")
    return side


def trees(pairs: Sequence[Pair]) -> tuple[Tree, ...]:
    """The pairs by document, in the order of the roots."""
    return tuple(
        Tree(
            root,
            tuple(
                pair
                for pair in pairs
                if document_side(pair).array
                and document_side(pair).collection == document_side(root).collection
            ),
        )
        for root in pairs
        if document_side(root).array is None
    )


class Shape:
    """How the rows of one side stand in documents."""

    def __init__(self, side: DocumentSide) -> None:
        self.side = side
        self._write = [to_bson(cell) for cell in side.cells]
        self._read = [from_bson(cell) for cell in side.cells]
        self._by = {name: place for place, name in enumerate(side.by)}

    def identifier(self, key: Row) -> Any:
        """The `_id` of the document with this neutral key; only of a root."""
        cells = self.side.key_cells
        values = [
            _written(cell, self._write[place], value)
            for cell, place, value in zip(cells, self.side.key, key, strict=True)
        ]
        if len(cells) == 1:
            return values[0]
        names = [cell.name.partition(".")[2] for cell in cells]
        return dict(zip(names, values, strict=True))

    def fields(self, row: Row) -> dict[str, Any]:
        """What a row of neutral values adds to its document, or an element; without the key."""
        left_out = set(self.side.key) if self.side.array is None else set()
        return {
            cell.name: _written(cell, write, value)
            for place, (cell, write, value) in enumerate(
                zip(self.side.cells, self._write, row, strict=True)
            )
            if place not in left_out and cell.name not in self._by
        }

    def row(self, fields: Document, parent: Row = ()) -> Row:
        """Neutral values of a document or an element; a field that is not there is NULL."""
        return tuple(
            parent[self._by[cell.name]]
            if cell.name in self._by
            else _value(cell, read, _found(fields, cell.name))
            for cell, read in zip(self.side.cells, self._read, strict=True)
        )

    def key(self, identifier: Any) -> Row:
        """The neutral key of a document's `_id`."""
        found = {"_id": identifier}
        return tuple(
            _value(cell, self._read[place], _found(found, cell.name))
            for cell, place in zip(self.side.key_cells, self.side.key, strict=True)
        )

    def sent(self, place: int, value: Any) -> Any:
        """A neutral value of the cell at this place as BSON has it."""
        return _written(self.side.cells[place], self._write[place], value)


class Documents:
    """Whole documents of one tree: a root and its arrays."""

    def __init__(self, tree: Tree) -> None:
        self.root = Shape(document_side(tree.root))
        self.arrays = [Shape(document_side(child)) for child in tree.children]

    def made(self, root: Row, children: Sequence[Sequence[Row]]) -> dict[str, Any]:
        """The document of a root's row and its children's rows, array by array."""
        made = {"_id": self.root.identifier(self.root.side.key_of(root)), **self.root.fields(root)}
        for shape, rows in zip(self.arrays, children, strict=True):
            made[str(shape.side.array)] = [
                shape.fields(row) for row in sorted(rows, key=_ordering(shape.side))
            ]
        return made

    def rows(self, document: Document, shape: Shape) -> list[Row]:
        """The rows that a document has of one shape of its tree.

        HandoverRefused for a document that is none of the move's.
        """
        try:
            if shape.side.array is None:
                return [shape.row(document)]
            parent = self.root.key(document.get("_id"))
            return [shape.row(each, parent) for each in _elements(document, shape.side.array)]
        except HandoverRefused as refused:
            where = f"{self.root.side.collection}, document {document.get('_id')}"
            raise HandoverRefused(f"{where}: {each}" for each in refused.sentences) from refused


def _elements(document: Document, array: str) -> list[Any]:
    found = document.get(array)
    if found is None:
        return []
    if not isinstance(found, list):
        raise HandoverRefused(f"field {array} is no array")
    return found


def _ordering(side: DocumentSide) -> Any:
    places = (*side.places(side.order), *side.key)
    return lambda row: tuple((row[place] is not None, row[place]) for place in places)


def _written(cell: Cell, write: Any, value: Any) -> Any:
    if value is None or write is None:
        return value
    try:
        return write(value)
    except (ValueError, TypeError, ArithmeticError) as fault:
        raise HandoverRefused(f"field {cell.name} {fault}") from fault


def _value(cell: Cell, read: Any, value: Any) -> Any:
    if value is None:
        return None
    try:
        return read(value)
    except (ValueError, TypeError, ArithmeticError) as fault:
        raise HandoverRefused(f"field {cell.name} {fault}") from fault


def _found(fields: Any, name: str) -> Any:
    """A field by its name, or one of the key's by `_id.name`."""
    if not isinstance(fields, Mapping):
        raise HandoverRefused(f"{fields!r} is no document")
    if name.startswith("_id."):
        identifier = fields.get("_id")
        return identifier.get(name[4:]) if isinstance(identifier, Mapping) else None
    return fields.get(name)
