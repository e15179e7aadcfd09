"""Fences in PostgreSQL: triggers before each statement, and at each row that others write.

A statement trigger costs a writer of many rows nothing. But a subscription's worker fires only row
triggers (it is known by session_replication_role), and what cascades from another table may touch
no row, and then is to be let through: for these two there is a row trigger.

The lock that writers share is an advisory one: it writes nothing to disk, and is given back when a
statement fails. After it a reading at READ COMMITTED sees the newest row. At higher levels the
snapshot may be older than the fence, so there the row is read FOR SHARE: PostgreSQL then fails the
transaction if the row has changed since, which refuses the writer.
"""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from strangler_proxy.handover.databases.fences import (
    about_to_move,
    fence_table,
    fence_trigger,
    has_moved,
    is_fence_trigger,
)
from strangler_proxy.handover.databases.port import Session, Side
from strangler_proxy.handover.databases.postgresql.dialect import PostgresqlDialect
from strangler_proxy.handover.databases.postgresql.installed import in_schema, installed
from strangler_proxy.handover.databases.triggers import Installed, Trigger

_SQL = PostgresqlDialect()
_LOCKS = 0x5374_7266  # 'Strf': a class of advisory locks of fences' own
_NOW = "extract(epoch FROM clock_timestamp())::double precision"


class PostgresqlFence:
    """See fences.FenceSql."""

    transactional = True
    now = _NOW

    def tables(self, move: str, home: str | None) -> Sequence[str]:
        """One table of one row."""
        return (
            f"CREATE TABLE IF NOT EXISTS {in_schema(home, fence_table(move))} "
            "(id integer PRIMARY KEY CHECK (id = 1), "
            "state text NOT NULL CHECK (state IN ('open', 'up', 'shut')), "
            "until double precision NOT NULL)",
        )

    def drop_tables(self, session: Session, move: str, home: str | None) -> Sequence[str]:
        """The fence table."""
        return (f"DROP TABLE IF EXISTS {in_schema(home, fence_table(move))}",)

    def there(self, session: Session, move: str, home: str | None) -> bool:
        """By the catalogue."""
        return bool(
            session.rows(
                "SELECT FROM pg_tables WHERE schemaname = COALESCE(%s, current_schema) "
                "AND tablename = %s",
                (home, fence_table(move)),
            )
        )

    def triggers(
        self, session: Session, move: str, home: str | None, sides: Sequence[Side]
    ) -> Sequence[Trigger]:
        """Four for each table."""
        return [made for side in sides for made in _of_table(move, home, side)]

    def installed(self, session: Session, move: str, home: str | None) -> Sequence[Installed]:
        """By the catalogue; functions without a trigger count as triggers that do not fire."""
        return installed(session, home, partial(is_fence_trigger, move))

    @contextmanager
    def alone(self, session: Session, move: str, home: str | None, wait_s: float) -> Iterator[None]:
        """Exclusively holds the lock that writers share."""
        with self.aside(session, move, home, wait_s):
            session.rows(f"SELECT pg_advisory_xact_lock({_lock(move, home)})")
            yield

    @contextmanager
    def aside(self, session: Session, move: str, home: str | None, wait_s: float) -> Iterator[None]:
        """Only writers above READ COMMITTED can be in the way of the row, or it in theirs."""
        with session.transaction():
            wait_ms = max(1, round(wait_s * 1000))
            session.rows("SELECT set_config('lock_timeout', %s, true)", (str(wait_ms),))
            yield


def _lock(move: str, home: str | None) -> str:
    # Two moves of one number would only wait for each other's writers.
    return f"{_LOCKS}, {zlib.crc32(f'{home} {move}'.encode()) & 0x7FFF_FFFF}"


def _of_table(move: str, home: str | None, side: Side) -> Iterator[Trigger]:
    fence = in_schema(home, fence_table(move))
    lapsed = "f.state = 'up' AND f.until <= extract(epoch FROM pg_catalog.clock_timestamp())"
    standing = f"CASE WHEN {lapsed} THEN 'open' ELSE f.state END"
    look = f"SELECT {standing} INTO standing FROM {fence} f WHERE f.id = 1"  # noqa: S608
    about, gone = (_SQL.literal(say(move, side.table.name)) for say in (about_to_move, has_moved))
    body = f"""
        DECLARE standing text;
        BEGIN
          PERFORM pg_catalog.pg_advisory_xact_lock_shared({_lock(move, home)});
          IF pg_catalog.current_setting('transaction_isolation')
             IN ('repeatable read', 'serializable') THEN
            {look} FOR SHARE;
          ELSE
            {look};
          END IF;
          IF standing = 'up' THEN
            RAISE EXCEPTION USING ERRCODE = 'read_only_sql_transaction', MESSAGE = {about};
          ELSIF standing IS DISTINCT FROM 'open' THEN
            RAISE EXCEPTION USING ERRCODE = 'read_only_sql_transaction', MESSAGE = {gone};
          END IF;
          IF TG_LEVEL = 'STATEMENT' THEN RETURN NULL; END IF;
          IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
          RETURN NEW;
        END"""
    statements = "BEFORE INSERT OR UPDATE OR DELETE ON {} FOR EACH STATEMENT"
    yield _trigger(move, home, side, statements, body, " AND pg_catalog.pg_trigger_depth() = 0")
    yield _trigger(move, home, side, "BEFORE TRUNCATE ON {} FOR EACH STATEMENT", body, "")
    by_others = (
        " AND (pg_catalog.pg_trigger_depth() > 0"
        " OR pg_catalog.current_setting('session_replication_role') = 'replica')"
    )
    # Before rows that are inserted it would make COPY insert them one by one.
    for rows in ("AFTER INSERT ON {} FOR EACH ROW", "BEFORE UPDATE OR DELETE ON {} FOR EACH ROW"):
        yield _trigger(move, home, side, rows, body, by_others)


def _trigger(move: str, home: str | None, side: Side, events: str, body: str, when: str) -> Trigger:
    name = fence_trigger(move, side.table.name, events + when + body)
    table, function = _SQL.table(side.table.name), in_schema(home, name)
    others = (
        f"pg_catalog.current_setting('strangler.mover', true) IS DISTINCT FROM {_SQL.literal(move)}"
    )
    return Trigger(
        name,
        side.table.name,
        (
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql "
            "SECURITY DEFINER SET search_path = pg_catalog, pg_temp "
            f"AS $strangler${body}$strangler$",
            f"DROP TRIGGER IF EXISTS {name} ON {table}",
            f"CREATE TRIGGER {name} {events.format(table)} WHEN ({others}{when}) "
            f"EXECUTE FUNCTION {function}()",
            f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}",
        ),
    )
