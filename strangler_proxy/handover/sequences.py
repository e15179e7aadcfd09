"""Let the target number its new rows above every number that the source has ever given.

Not above the largest row alone: the id of a row that was deleted may be known outside, and must
not become another row's. Numbers only ever rise, so all of this may be done again, at any time, and
in either direction. With a margin it can be done before the cut-over's hold: what is left for the
hold is then to read that it still suffices.
"""

from strangler_proxy.handover.databases.mysql.sequences import MysqlNumbering
from strangler_proxy.handover.databases.numbering import Generator, NumberingSql
from strangler_proxy.handover.databases.port import Cell, Pair, Session, Side
from strangler_proxy.handover.databases.postgresql.sequences import PostgresqlNumbering
from strangler_proxy.handover.databases.sqlite.sequences import SqliteNumbering
from strangler_proxy.handover.faults import HandoverRefused

_SQL: dict[str, NumberingSql] = {
    "sqlite": SqliteNumbering(),
    "postgresql": PostgresqlNumbering(),
    "mysql": MysqlNumbering(),
}


def set_(pair: Pair, source: Session, target: Session, margin: int = 0) -> tuple[str, ...]:
    """Number the target's new rows above the source's last number and `margin` more.

    Gives sentences on what the target cannot promise, for it keeps no numbers: none if all is well.
    Raises HandoverRefused when its numbers do not reach so far, LockBusy when readers of a table
    in MySQL do not end. Not to be called within a transaction.
    """
    sql, warnings = _SQL[target.dialect.kind], tuple[str, ...]()
    for cell, its in zip(pair.source.cells, pair.target.cells, strict=True):
        if sql.generator(target, pair.target, its) is None:
            continue
        last = given(source, pair.source, cell)
        if last is not None:
            warnings += reach(pair.target, its, target, last, margin)
    return warnings


def reach(side: Side, cell: Cell, target: Session, number: int, margin: int = 0) -> tuple[str, ...]:
    """Number this column's new rows above a number and `margin` more; as `set_` says."""
    sql = _SQL[target.dialect.kind]
    generator, where = sql.generator(target, side, cell), f"{side.table.name}.{cell.name}"
    if generator is None:
        return ()
    if generator.kept:
        _advance(sql, target, side, generator, number + margin, where)
    elif number > generator.last:
        return (
            f"{where} goes on from {generator.last}, though numbers up to {number} were "
            "given: it is no AUTOINCREMENT, so ids of deleted rows are given again",
        )
    return ()


def _advance(
    sql: NumberingSql, target: Session, side: Side, generator: Generator, number: int, where: str
) -> None:
    last = generator.reaching(number)
    if last == generator.last:
        return
    if last + generator.step > generator.largest:
        raise HandoverRefused(
            f"{where} can number no row above {generator.largest}, and {number} are needed: "
            "give it a larger type"
        )
    sql.advance(target, side, generator, last)


def given(source: Session, side: Side, cell: Cell) -> int | None:
    """The largest number that the source ever gave or has; None when there is none."""
    generator = _SQL[source.dialect.kind].generator(source, side, cell)
    largest = source.scalar(f"SELECT max({cell.sql}) FROM {source.dialect.table(side.table.name)}")  # noqa: S608
    known = [] if largest is None else [int(largest)]
    if generator:
        known.append(generator.last)
    return max(known, default=None)
