"""What a move into documents means for the tables as they are: each field, or why not. Reads only.

Collections have no columns, so fields follow the source's. What BSON would change is refused here
where the column's type says so, else at the row that has it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from strangler_proxy.handover.counted import counted
from strangler_proxy.handover.databases.keys import KEY_KINDS
from strangler_proxy.handover.databases.mongodb.side import DocumentSide
from strangler_proxy.handover.databases.mongodb.values import DATE_DIGITS, DECLARED
from strangler_proxy.handover.databases.port import Cell, Column, Kind, Pair, Session, Side, Table
from strangler_proxy.handover.documents.rows import SqlRows
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.loading.batch import shown
from strangler_proxy.handover.move import Expression, Move, TableMove

_Cells = list[tuple[Cell, Cell]]


@dataclass(frozen=True, slots=True)
class _Declared:
    """A table's declaration, and the table."""

    move: TableMove
    table: Table

    @property
    def key(self) -> tuple[str, ...]:
        """The source's columns that name a row."""
        return self.move.key or self.table.primary_key


def pair_documents(move: Move, source: Session) -> tuple[Pair, ...]:
    """Each table of the move, and the documents or elements that its rows become.

    Raises HandoverRefused with everything that stands against it.
    """
    reasons: list[str] = []
    pairs: list[Pair] = []
    for declared in move.tables:
        try:
            pairs.append(_pair(_Declared(declared, source.describe(declared.source)), source))
        except HandoverRefused as refused:
            reasons += refused.sentences
    if not reasons:
        reasons += _parent_mistakes(pairs)
    if reasons:
        raise HandoverRefused(reasons)
    return tuple(pairs)


def orphans(pairs: Sequence[Pair], source: Session) -> Iterator[str]:
    """Why rows would be in no document. Reads the embedded tables whole."""
    for child, side in _embedded(pairs):
        root = _root(pairs, side)
        lost = SqlRows(source).without_parent(child, root)
        if lost:
            table = child.source.table.name
            yield (
                f"{counted(len(lost), f'row of {table} has', f'rows of {table} have')} no row in "
                f"{root.source.table.name}, so no document can have them: {shown(lost[0])}, ..."
            )


def _pair(declared: _Declared, source: Session) -> Pair:
    reasons: list[str] = []
    cells = list(_cells(declared, source, reasons))
    key = _key(declared, cells, reasons)
    if not reasons:
        reasons += _without_key(source, declared, [cells[place][0] for place in key])
    if reasons:
        raise HandoverRefused(reasons)
    name = declared.move.target
    targets = _named_by_key(declared, [cell for _, cell in cells], key)
    columns = tuple(cell.column for cell in targets if cell.column)
    table = Table(name, columns, tuple(targets[place].name for place in key))
    embed = declared.move.embed
    renamed = {source.name: target.name for source, target in zip(
        (cell for cell, _ in cells), targets, strict=True)}  # fmt: skip
    if embed is None:
        target = DocumentSide(table, targets, key, name.name)
    else:
        target = DocumentSide(
            table,
            targets,
            key,
            embed.into,
            embed.array,
            tuple(renamed.get(column, column) for column in embed.by_columns),
            tuple(renamed.get(column, column) for column in embed.order_columns),
        )
    return Pair(Side(declared.table, tuple(cell for cell, _ in cells), key), target)


def _cells(declared: _Declared, source: Session, reasons: list[str]) -> Iterator[tuple[Cell, Cell]]:
    table, types = declared.table, dict(declared.move.types or {})
    for field, origin in _mapped(declared):
        where = f"{declared.move.target}.{field}"
        if isinstance(origin, Expression):
            reasons.append(f"{where} is an expression, whose type MongoDB does not know: leave it")
            continue
        column = table.column(origin)
        if column is None:
            names = ", ".join(each.name for each in table.columns)
            reasons.append(f"{table.name} has no column {origin}; it has: {names}")
        elif not column.kinds:
            reasons.append(f"{table.name}.{origin} is {column.declared}: not known here")
        elif not _is_name(declared, field, origin):
            reasons.append(f"{where}: '{field}' is no name for a field of a document: map it")
        else:
            made = _column(column, field, types.pop(field, None))
            if isinstance(made, str):
                reasons.append(f"{table.name}.{origin} {made}")
            else:
                kind = made.kinds[0]
                yield Cell(kind, source.dialect.quote(origin), column), Cell(kind, field, made)
    reasons += [f"{declared.move.target} has no field {field}: see its types" for field in types]


def _mapped(declared: _Declared) -> Iterator[tuple[str, str | Expression]]:
    if declared.move.columns is not None:
        yield from declared.move.columns.items()
        return
    for column in declared.table.columns:
        yield column.name, column.name


def _is_name(declared: _Declared, field: str, origin: str) -> bool:
    """A key of one column is `_id` whatever it is called, and nothing else may be."""
    if field == "_id":
        return declared.key == (origin,) and declared.move.embed is None
    return not field.startswith("$") and "." not in field


def _column(source: Column, field: str, wanted: str | None) -> Column | str:
    """The field as a column, or why it loses something."""
    kind = source.kinds[0]
    kept_as, scale = wanted or DECLARED[kind], source.scale
    if kept_as == DECLARED[Kind.TIMESTAMP]:
        if scale is not None and scale > DATE_DIGITS:
            return (
                f"({source.declared}) has microseconds, and a BSON date keeps milliseconds: give "
                f"it `types: {{{field}: string}}`, or let the column keep {DATE_DIGITS} digits"
            )
        scale = DATE_DIGITS if scale is None else scale
    return Column(field, kept_as, (kind,), nullable=True, scale=scale)


def _key(declared: _Declared, cells: _Cells, reasons: list[str]) -> tuple[int, ...]:
    table, names = declared.table, declared.key
    if not names:
        reasons.append(f"{table.name} has no primary key, so its changed rows cannot be named")
        return ()
    places = {source.name: place for place, (source, _) in enumerate(cells)}
    missing = [name for name in names if name not in places]
    if missing:
        if not reasons:
            told = ", ".join(missing)
            reasons.append(f"{table.name} must move its key: {told} is not among columns")
        return ()
    if sorted(names) not in [sorted(each) for each in (table.primary_key, *table.unique)]:
        reasons.append(f"{table.name} has no unique key over exactly {', '.join(sorted(names))}")
    for name in names:
        kind = cells[places[name]][0].kind
        if kind not in KEY_KINDS:
            reasons.append(f"{table.name}.{name} cannot be a key: {kind} is not found by equality")
    return tuple(places[name] for name in names)


def _without_key(source: Session, declared: _Declared, key: Sequence[Cell]) -> Iterator[str]:
    table = source.dialect.table(declared.table.name)
    for cell in key:
        nullable = cell.column and cell.column.nullable
        if nullable and source.scalar(
            f"SELECT 1 FROM {table} WHERE {cell.sql} IS NULL LIMIT 1"  # noqa: S608
        ):
            yield f"{declared.table.name} has rows whose key {cell.name} is NULL"


def _named_by_key(
    declared: _Declared, cells: Sequence[Cell], key: Sequence[int]
) -> tuple[Cell, ...]:
    """A document's key is `_id`; an element keeps its fields' names."""
    if declared.move.embed:
        return tuple(cells)
    made = list(cells)
    for place in key:
        name = "_id" if len(key) == 1 else f"_id.{cells[place].name}"
        column = cells[place].column
        if column:
            column = Column(name, column.declared, column.kinds, nullable=False, scale=column.scale)
        made[place] = Cell(cells[place].kind, name, column)
    return tuple(made)


def _embedded(pairs: Sequence[Pair]) -> Iterator[tuple[Pair, DocumentSide]]:
    for pair in pairs:
        if isinstance(pair.target, DocumentSide) and pair.target.array:
            yield pair, pair.target


def _root(pairs: Sequence[Pair], side: DocumentSide) -> Pair:
    return next(pair for pair in pairs if str(pair.target.table.name) == side.collection)


def _parent_mistakes(pairs: Sequence[Pair]) -> Iterator[str]:
    for child, side in _embedded(pairs):
        name, root = child.source.table.name, _root(pairs, side)
        known = {cell.name: cell for cell in side.cells}
        missing = [column for column in (*side.by, *side.order) if column not in known]
        if missing:
            yield f"{name} must move {', '.join(missing)}, which embed speaks of"
            continue
        if side.array in {cell.name for cell in root.target.cells}:
            yield f"{side.collection} has a field {side.array} of its own: give embed another name"
        by, key = [known[column].kind for column in side.by], root.target.key_cells
        if by != [cell.kind for cell in key]:
            told = ", ".join(cell.name for cell in root.source.key_cells)
            yield (
                f"{name}: {', '.join(side.by)} is not the key of {root.source.table.name} "
                f"({told}), by which its document would be found"
            )
