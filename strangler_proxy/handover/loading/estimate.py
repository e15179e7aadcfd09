"""How many rows a table has, by what its database knows without counting them."""

from strangler_proxy.handover.databases.port import Session, Table


def estimate(session: Session, table: Table) -> int | None:
    """The database's own estimate; quick, and wrong by as much as its statistics are old.

    None where it has none.
    """
    match session.dialect.kind:
        case "postgresql":
            return _postgresql(session, table)
        case "mysql":
            return _mysql(session, table)
        case "sqlite":
            return _sqlite(session, table)


def _postgresql(session: Session, table: Table) -> int | None:
    rows = session.scalar(
        "SELECT reltuples::bigint FROM pg_catalog.pg_class WHERE oid = %s::regclass",
        # An identifier here, not SQL: what quote() doubled for the driver is single again.
        (session.dialect.table(table.name).replace("%%", "%"),),
    )
    return None if rows is None or rows < 0 else int(rows)


def _mysql(session: Session, table: Table) -> int | None:
    rows = session.scalar(
        "SELECT table_rows FROM information_schema.tables "
        "WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s",
        (table.name.schema, table.name.name),
    )
    return None if rows is None else int(rows)


def _sqlite(session: Session, table: Table) -> int | None:
    definition = session.scalar(
        "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE",
        (table.name.name,),
    )
    if definition is None or "WITHOUT" in definition.upper():
        return None
    name = session.dialect.table(table.name)
    # Both ends are found at once; holes in between make it too high.
    low = session.scalar(f"SELECT min(rowid) FROM {name}")  # noqa: S608 - quoted by the dialect
    high = session.scalar(f"SELECT max(rowid) FROM {name}")  # noqa: S608 - quoted by the dialect
    return 0 if low is None else int(high - low + 1)
