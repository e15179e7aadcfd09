"""Capture in PostgreSQL: one row trigger and one TRUNCATE trigger for each table.

Row triggers and not statement triggers, because changes that a subscription applies fire only
those; ENABLE ALWAYS, because they fire also where session_replication_role is replica. The
functions run as the mover's role with a search path of their own, so a writer needs no right on the
change table and can put nothing in its way.

CREATE TRIGGER waits for every transaction that has written the table, and those that come later
see the trigger: when it returns, no change is under way that it does not record.
"""

from collections.abc import Sequence
from functools import partial

from strangler_proxy.handover.databases.port import Session, Side
from strangler_proxy.handover.databases.postgresql.dialect import PostgresqlDialect
from strangler_proxy.handover.databases.postgresql.installed import in_schema, installed
from strangler_proxy.handover.databases.triggers import Installed, Trigger
from strangler_proxy.handover.naming import change_table, is_trigger, trigger, writers_table

_SQL = PostgresqlDialect()
# Microseconds since 1970, then 64 random bits; a low one may be committed late.
_BY_CLOCK = (
    "(lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000000)::bigint), 16, '0')"
    " || right(replace(gen_random_uuid()::text, '-', ''), 16))::uuid"
)
_WRITER = (
    "(session_user || '@' || coalesce(host(inet_client_addr()), 'local')"
    " || coalesce(' (' || nullif(current_setting('application_name'), '') || ')', ''))"
)
_NOTES_WRITERS = """
SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = t AND attname = 'writer' AND atthasdef)
FROM to_regclass(%s) AS t WHERE t IS NOT NULL
"""


class PostgresqlCapture:
    """See triggers.CaptureSql."""

    transactional = True
    tells_writers = True

    def tables(self, move: str, home: str | None) -> Sequence[str]:
        """Numbers are UUIDs by the clock: a sequence would change what lastval() tells a writer."""
        return (
            f"CREATE TABLE IF NOT EXISTS {in_schema(home, change_table(move))} "
            f"(id uuid PRIMARY KEY DEFAULT {_BY_CLOCK}, "
            "at double precision NOT NULL DEFAULT extract(epoch FROM clock_timestamp()), "
            f"tbl text NOT NULL, row_key text, writer text DEFAULT {_WRITER})",
            _writers(move, home),
        )

    def add_writers(self, session: Session, move: str, home: str | None) -> Sequence[str]:
        """The default comes second: it is not for the entries that are there."""
        changes = in_schema(home, change_table(move))
        if session.scalar(_NOTES_WRITERS, (changes.replace("%%", "%"),)) is not False:
            return ()
        return (
            _writers(move, home),
            f"ALTER TABLE {changes} ADD COLUMN IF NOT EXISTS writer text",
            f"ALTER TABLE {changes} ALTER COLUMN writer SET DEFAULT {_WRITER}",
        )

    def drop_tables(self, session: Session, move: str, home: str | None) -> Sequence[str]:
        """The change table, and who wrote."""
        return tuple(
            f"DROP TABLE IF EXISTS {in_schema(home, name)}"
            for name in (change_table(move), writers_table(move))
        )

    def triggers(
        self, session: Session, move: str, home: str | None, sides: Sequence[Side]
    ) -> Sequence[Trigger]:
        """Two for each table."""
        return [
            made
            for side in sides
            for made in (_rows(move, home, side), _truncated(move, home, side))
        ]

    def installed(self, session: Session, move: str, home: str | None) -> Sequence[Installed]:
        """By the catalogue; functions without a trigger count as triggers that do not fire."""
        return installed(session, home, partial(is_trigger, move))


def _writers(move: str, home: str | None) -> str:
    return (
        f"CREATE TABLE IF NOT EXISTS {in_schema(home, writers_table(move))} "
        "(writer text PRIMARY KEY, changes bigint NOT NULL, first_seen double precision NOT NULL, "
        "last_seen double precision NOT NULL)"
    )


def _rows(move: str, home: str | None, side: Side) -> Trigger:
    old, new = (_SQL.captured_key(side, row) for row in ("OLD", "NEW"))
    body = f"""
        DECLARE before text; after text;
        BEGIN
          IF TG_OP <> 'INSERT' THEN before := {old}; END IF;
          IF TG_OP <> 'DELETE' THEN after := {new}; END IF;
          IF before IS NOT NULL THEN {_entry(move, home, side, "before")}; END IF;
          IF after IS DISTINCT FROM before AND after IS NOT NULL THEN
            {_entry(move, home, side, "after")};
          END IF;
          RETURN NULL;
        END"""
    events = "AFTER INSERT OR UPDATE OR DELETE ON {} FOR EACH ROW"
    return _trigger(move, home, side, events, "row", body)


def _truncated(move: str, home: str | None, side: Side) -> Trigger:
    body = f"BEGIN {_entry(move, home, side, 'NULL')}; RETURN NULL; END"
    return _trigger(move, home, side, "AFTER TRUNCATE ON {} FOR EACH STATEMENT", "tru", body)


def _entry(move: str, home: str | None, side: Side, key: str) -> str:
    changes, table = in_schema(home, change_table(move)), _SQL.literal(str(side.table.name))
    return f"INSERT INTO {changes} (tbl, row_key) VALUES ({table}, {key})"  # noqa: S608


def _trigger(
    move: str, home: str | None, side: Side, events: str, event: str, body: str
) -> Trigger:
    name = trigger(move, side.table.name, body, event)
    table, function = _SQL.table(side.table.name), in_schema(home, name)
    others = f"current_setting('strangler.mover', true) IS DISTINCT FROM {_SQL.literal(move)}"
    return Trigger(
        name,
        side.table.name,
        (
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql "
            "SECURITY DEFINER SET search_path = pg_catalog, pg_temp "
            f"AS $strangler${body}$strangler$",
            f"DROP TRIGGER IF EXISTS {name} ON {table}",
            f"CREATE TRIGGER {name} {events.format(table)} WHEN ({others}) "
            f"EXECUTE FUNCTION {function}()",
            f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}",
        ),
    )
