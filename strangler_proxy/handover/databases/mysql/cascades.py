"""Which tables' changes reach a table through foreign keys, and which of its rows.

What a foreign key deletes or changes fires no trigger in MySQL and MariaDB, so capture and fence
put triggers on the tables from which it comes. A path that comes back to a table on its way could
be of any length, and is refused.
"""

from collections.abc import Iterator, Mapping, Sequence

from strangler_proxy.handover.databases.mysql.dialect import MysqlDialect
from strangler_proxy.handover.databases.mysql.schema import foreign_keys
from strangler_proxy.handover.databases.port import ForeignKey, Session, Side, TableName
from strangler_proxy.handover.faults import HandoverRefused

_SQL = MysqlDialect()
_ACTS = ("CASCADE", "SET NULL", "SET DEFAULT")
Step = tuple[TableName, ForeignKey]


def all_foreign_keys(
    session: Session, schemas: set[str]
) -> dict[TableName, tuple[ForeignKey, ...]]:
    """Those of these databases, and of every one that they lead to."""
    found: dict[TableName, tuple[ForeignKey, ...]] = {}
    known: set[str] = set()
    while unknown := schemas - known:
        for schema in unknown:
            found.update(foreign_keys(session.rows, schema))
        known |= unknown
        schemas = {str(key.to.schema) for keys in found.values() for key in keys}
    return found


def paths(
    table: TableName, keys: Mapping[TableName, Sequence[ForeignKey]], operation: str
) -> Iterator[tuple[Step, ...]]:
    """Ways from a table up to one whose change reaches it, nearest step first.

    The nearest step may change rows in any way. Those behind it must cascade: rows that go, or
    whose own keys change, are what reaches further.
    """

    def climb(path: tuple[Step, ...], passed: tuple[TableName, ...]) -> Iterator[tuple[Step, ...]]:
        at = path[-1][1].to if path else table
        for key in keys.get(at, ()):
            action = key.on_delete if operation == "DELETE" else key.on_update
            unmoved = operation == "UPDATE" and path and not _meet(key, path[-1][1])
            if action not in (("CASCADE",) if path else _ACTS) or unmoved:
                continue
            on_way = (*passed, at) if action == "CASCADE" else passed
            if key.to in on_way:
                raise HandoverRefused(
                    f"{table}: ON {operation} CASCADE comes back to {key.to} on its way, and MySQL "
                    "fires no trigger for what a foreign key does: rows could change unseen"
                )
            yield (*path, (at, key))
            yield from climb((*path, (at, key)), on_way)

    yield from climb((), ())


def _meet(key: ForeignKey, below: ForeignKey) -> bool:
    """Whether what a cascade changes here is what the step below refers to."""
    return bool(set(key.columns) & set(below.to_columns))


def rows_reached(side: Side, path: Sequence[Step], operation: str) -> str:
    """Keys of the rows at the near end of a path that OLD, at its far end, reaches.

    What stands behind SELECT. An UPDATE reaches them only where it changes what they refer to.
    """
    joins = [f"{_SQL.captured_key(side, 't0')} FROM {_SQL.table(side.table.name)} AS t0"]
    for place, (_, key) in enumerate(path[:-1], start=1):
        on = _equal(f"t{place - 1}", key.columns, f"t{place}", key.to_columns)
        joins.append(f"JOIN {_SQL.table(key.to)} AS t{place} ON {on}")
    last = path[-1][1]
    where = _equal(f"t{len(path) - 1}", last.columns, "OLD", last.to_columns)
    if operation == "UPDATE":
        where += f" AND NOT ({unchanged(last.to_columns)})"
    return f"{' '.join(joins)} WHERE {where}"


def _equal(one: str, columns: Sequence[str], other: str, to_columns: Sequence[str]) -> str:
    return " AND ".join(
        f"{one}.{_SQL.quote(column)} = {other}.{_SQL.quote(to)}"
        for column, to in zip(columns, to_columns, strict=True)
    )


def unchanged(columns: Sequence[str]) -> str:
    """That OLD and NEW have the same bytes there: a collation may take two values for one."""
    return " AND ".join(
        f"BINARY OLD.{column} <=> BINARY NEW.{column}" for column in map(_SQL.quote, columns)
    )
