"""What a move means for the tables as they are: each column on both sides, or why not. Reads only.

Every reason against a move is found and told at once. What would be lost silently is refused:
columns of kinds that do not meet, fractions that the target would round, keys that its collation
takes for one, a column of the target that nothing fills and that must be filled.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from strangler_proxy.handover.databases.agreement import agreed_kind
from strangler_proxy.handover.databases.keys import KEY_KINDS
from strangler_proxy.handover.databases.port import Cell, Column, Kind, Pair, Session, Side, Table
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.move import Expression, Move, TableMove

_ROUNDED = (Kind.DECIMAL, Kind.TIMESTAMP, Kind.TIME)


@dataclass(frozen=True, slots=True)
class _Tables:
    """One table's declaration and both descriptions."""

    declared: TableMove
    source: Table
    target: Table

    def __str__(self) -> str:
        return str(self.declared.source)


def pair_tables(move: Move, source: Session, target: Session) -> tuple[Pair, ...]:
    """Each table of the move on both sides, in the move's order; cells in the target's order.

    Raises HandoverRefused with everything that stands against it.
    """
    reasons: list[str] = []
    pairs = []
    for declared in move.tables:
        try:
            tables = _Tables(
                declared, source.describe(declared.source), target.describe(declared.target)
            )
            pairs.append(_pair(tables, source, target))
        except HandoverRefused as refused:
            reasons += refused.sentences
    if not reasons:
        reasons += _order_mistakes(pairs, target)
    if reasons:
        raise HandoverRefused(reasons)
    return tuple(pairs)


def _pair(tables: _Tables, source: Session, target: Session) -> Pair:
    reasons: list[str] = []
    cells = list(_cells(tables, source, target, reasons))
    key = _key(tables, cells, reasons)
    reasons += _unfilled(tables, cells)
    if not reasons:
        reasons += _without_key(source, tables, [cells[place][0] for place in key])
    if reasons:
        raise HandoverRefused(reasons)
    return Pair(
        Side(tables.source, tuple(one for one, _ in cells), key),
        Side(tables.target, tuple(other for _, other in cells), key),
    )


def _cells(
    tables: _Tables, source: Session, target: Session, reasons: list[str]
) -> Iterator[tuple[Cell, Cell]]:
    for name, origin in _mapped(tables):
        column = tables.target.column(name)
        if column is None:
            reasons.append(f"{tables.target.name} has no column {name} at the target")
        elif column.generated:
            reasons.append(
                f"{tables.target.name}.{name} is computed by the target: leave it out of columns"
            )
        elif isinstance(origin, Expression):
            yield from _expression(tables, column, origin, source, target, reasons)
        elif (there := tables.source.column(origin)) is None:
            reasons.append(f"{tables} has no column {origin}; it has: {_names(tables.source)}")
        else:
            reason = _against(tables, there, column)
            kind = agreed_kind(there, column)
            if reason or kind is None:
                reasons.append(reason or "")
            else:
                yield (
                    Cell(kind, source.dialect.quote(there.name), there),
                    Cell(kind, target.dialect.quote(name), column),
                )


def _mapped(tables: _Tables) -> Iterator[tuple[str, str | Expression]]:
    if tables.declared.columns is not None:
        yield from tables.declared.columns.items()
        return
    for column in tables.target.columns:
        if not column.generated and tables.source.column(column.name):
            yield column.name, column.name


def _expression(
    tables: _Tables,
    column: Column,
    origin: Expression,
    source: Session,
    target: Session,
    reasons: list[str],
) -> Iterator[tuple[Cell, Cell]]:
    if not column.kinds:
        reasons.append(f"{tables.target.name}.{column.name} is {column.declared}: not known here")
        return
    kind = column.kinds[0]
    yield (
        Cell(kind, f"({source.dialect.escaped(origin.sql)})", None, origin.compare),
        Cell(kind, target.dialect.quote(column.name), column, origin.compare),
    )


def _against(tables: _Tables, source: Column, target: Column) -> str | None:
    """Why one column cannot move into the other."""
    what = f"{tables}.{source.name} ({source.declared})"
    to = f"{tables.target.name}.{target.name} ({target.declared})"
    kind = agreed_kind(source, target)
    if kind is None:
        return f"{what} does not fit {to}: give the column an expression, {{sql: ...}}"
    finer = source.scale is not None and target.scale is not None and source.scale > target.scale
    if kind in _ROUNDED and finer:
        return f"{to} keeps {target.scale} digits where {what} has {source.scale}: it would round"
    return None


def _key(tables: _Tables, cells: list[tuple[Cell, Cell]], reasons: list[str]) -> tuple[int, ...]:
    names = tables.declared.key or tables.source.primary_key
    if not names:
        reasons.append(f"{tables} has no primary key, so its changed rows cannot be named")
        return ()
    places = {source.name: place for place, (source, _) in enumerate(cells) if source.column}
    missing = [name for name in names if name not in places]
    if missing:
        if not reasons:
            reasons.append(f"{tables} must move its key: {', '.join(missing)} is not among columns")
        return ()
    key = tuple(places[name] for name in names)
    reasons += _key_mistakes(tables, [cells[place] for place in key])
    return key


def _key_mistakes(tables: _Tables, key: list[tuple[Cell, Cell]]) -> Iterator[str]:
    for which, table in ((0, tables.source), (1, tables.target)):
        names = sorted(cells[which].name for cells in key)
        keys = [sorted(each) for each in (table.primary_key, *table.unique)]
        if names not in keys:
            yield f"{table.name} has no unique key over exactly {', '.join(names)}"
    for source, target in key:
        what = f"{tables}.{source.name}"
        if source.kind not in KEY_KINDS:
            yield f"{what} cannot be a key: values of kind {source.kind} are not found by equality"
        if source.column and source.column.declared.startswith("timestamp") and _zoneless(source):
            yield f"{what} cannot be a key: its text depends on the writer's time zone"
        if source.kind == Kind.TEXT and merges(target) and not merges(source):
            collation = target.column.collation if target.column else ""
            yield (
                f"{tables.target.name}.{target.name} compares by {collation}, which takes for one "
                f"key what {what} keeps apart: give it a binary collation there"
            )


def _without_key(source: Session, tables: _Tables, key: list[Cell]) -> Iterator[str]:
    """SQLite lets primary keys be NULL, and every database unique ones."""
    for cell in key:
        nullable = cell.column and cell.column.nullable
        table = source.dialect.table(tables.source.name)
        if nullable and source.scalar(
            f"SELECT 1 FROM {table} WHERE {cell.sql} IS NULL LIMIT 1"  # noqa: S608
        ):
            yield f"{tables} has rows whose key {cell.name} is NULL: they cannot be named"


def _zoneless(cell: Cell) -> bool:
    """A TIMESTAMP of MySQL, which shows itself in each session's zone."""
    return cell.sql.startswith("`")


def merges(cell: Cell) -> bool:
    """Whether different texts may be equal by the column's collation."""
    collation = (cell.column.collation or "" if cell.column else "").lower()
    declared = cell.column.declared if cell.column else ""
    return declared == "citext" or collation.endswith(("_ci", "_ai", "_cs", "nocase", "rtrim"))


def _unfilled(tables: _Tables, cells: list[tuple[Cell, Cell]]) -> Iterator[str]:
    filled = {target.name for _, target in cells}
    for column in tables.target.columns:
        optional = column.nullable or column.has_default or column.generated
        if column.name not in filled and not optional:
            yield (
                f"{tables.target.name}.{column.name} must be filled at the target, and nothing of "
                f"{tables} goes there"
            )


def _order_mistakes(pairs: list[Pair], target: Session) -> Iterator[str]:
    """Only where references cannot be switched off must parents come first."""
    if not target.enforces_references:
        return
    places = {pair.target.table.name: place for place, pair in enumerate(pairs)}
    for place, pair in enumerate(pairs):
        for reference in pair.target.table.foreign_keys:
            if places.get(reference.to, -1) >= place:
                yield (
                    f"{pair.target.table.name} refers to {reference.to}, which is not moved before "
                    "it, and this role may not set session_replication_role: grant it, or put "
                    "parents first"
                )


def _names(table: Table) -> str:
    return ", ".join(column.name for column in table.columns)
