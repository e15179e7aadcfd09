"""Which other tables refer to some tables: what would point nowhere if those were dropped."""

from collections.abc import Iterable

from strangler_proxy.handover.databases.port import Session, TableName

_POSTGRESQL = """
SELECT DISTINCT n.nspname, c.relname, h.nspname, t.relname FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class t ON t.oid = k.confrelid JOIN pg_namespace h ON h.oid = t.relnamespace
WHERE k.contype = 'f'
"""
_MYSQL = """
SELECT DISTINCT table_schema, table_name, referenced_table_schema, referenced_table_name
FROM information_schema.key_column_usage WHERE referenced_table_name IS NOT NULL
"""
_SQLITE = """
SELECT DISTINCT NULL, m.name, NULL, f."table" FROM sqlite_master m
JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table'
"""
_SQL = {"postgresql": _POSTGRESQL, "mysql": _MYSQL, "sqlite": _SQLITE}


def referring(session: Session, tables: Iterable[TableName]) -> list[tuple[TableName, TableName]]:
    """(A table that is not among these, the one of these that it refers to by a foreign key).

    Names as their database describes them, in order.
    """
    sqlite = session.dialect.kind == "sqlite"  # where the case of names does not count
    ours = {_folded(table, sqlite) for table in tables}
    found = set()
    for schema, name, to_schema, to_name in session.rows(_SQL[session.dialect.kind]):
        table, to = TableName(schema, name), TableName(to_schema, to_name)
        if _folded(to, sqlite) in ours and _folded(table, sqlite) not in ours:
            found.add((table, to))
    return sorted(found, key=str)


def _folded(table: TableName, sqlite: bool) -> TableName:
    return TableName(table.schema, table.name.lower()) if sqlite else table
