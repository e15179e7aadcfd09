"""What of a move's capture or fence PostgreSQL's catalogue has, and how it is taken away."""

from collections.abc import Callable, Sequence

from strangler_proxy.handover.databases.port import Session
from strangler_proxy.handover.databases.postgresql.dialect import PostgresqlDialect
from strangler_proxy.handover.databases.triggers import Installed

_SQL = PostgresqlDialect()
_TRIGGERS = """
SELECT t.tgname, t.tgenabled::text, n.nspname, c.relname FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace h ON h.oid = p.pronamespace
WHERE NOT t.tgisinternal AND t.tgname LIKE 'strangler_%%' AND h.nspname = %s
"""
_FUNCTIONS = """
SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = %s AND p.proname LIKE 'strangler_%%'
"""


def installed(
    session: Session, home: str | None, ours: Callable[[str], bool]
) -> Sequence[Installed]:
    """Triggers whose function is in `home` and whose name is `ours`.

    Functions without a trigger count as triggers that do not fire.
    """
    found = {}
    for (name,) in session.rows(_FUNCTIONS, (home,)):
        if ours(name):
            found[name] = Installed(name, False, (_drop_function(home, name),))
    for name, enabled, schema, table in session.rows(_TRIGGERS, (home,)):
        if ours(name):
            drop = f"DROP TRIGGER IF EXISTS {_SQL.quote(name)} ON {in_schema(schema, table)}"
            found[name] = Installed(name, enabled == "A", (drop, _drop_function(home, name)))
    return list(found.values())


def in_schema(schema: str | None, name: str) -> str:
    """A quoted name, with its schema where one is known."""
    return f"{_SQL.quote(schema)}.{_SQL.quote(name)}" if schema else _SQL.quote(name)


def _drop_function(home: str | None, name: str) -> str:
    return f"DROP FUNCTION IF EXISTS {in_schema(home, name)}()"
