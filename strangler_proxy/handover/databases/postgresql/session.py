"""One connection to PostgreSQL.

A transaction sets session_replication_role where the role may: foreign keys are then not checked,
nothing cascades, and triggers of applications do not fire on rows that are copied. Locks and marks
belong to the connection, so there must be no pooler between that hands it on by transaction.
"""

import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors

from strangler_proxy.handover.databases.port import DatabaseKind, Row, Table, TableName
from strangler_proxy.handover.databases.postgresql.dialect import PostgresqlDialect
from strangler_proxy.handover.databases.postgresql.schema import describe
from strangler_proxy.handover.faults import Clash, DatabaseUnreachable, HandoverFault, LockBusy

_CONNECT_S = 10
_LOCKS_FIRST_MS = 1_000  # a wait for a lock is told as one
_LOCKS = 0x5374_7261  # 'Stra': a class of advisory locks of one's own
_MAY_FREE = "SELECT has_parameter_privilege(current_user, 'session_replication_role', 'SET')"
_MAY_FREE_BEFORE_15 = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"


class PostgresqlDatabase:
    """A database of a server; see port.Database."""

    kind: DatabaseKind = "postgresql"

    def __init__(self, url: str, shown: str) -> None:
        self._url = url
        self.dialect = PostgresqlDialect()
        self.shown = shown

    def session(self, mover: str | None = None, statement_s: float = 60.0) -> "PostgresqlSession":
        """Connect."""
        return PostgresqlSession(self._url, self.shown, mover, statement_s)


class PostgresqlSession:
    """See port.Session."""

    def __init__(self, url: str, shown: str, mover: str | None, statement_s: float) -> None:
        self.dialect = PostgresqlDialect()
        self._shown = shown
        self._mover = mover
        try:
            self.raw = psycopg.connect(
                url,
                autocommit=True,
                connect_timeout=_CONNECT_S,
                application_name=f"strangler {mover or ''}".strip(),
                client_encoding="utf8",
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
            )
        except psycopg.OperationalError as fault:
            raise DatabaseUnreachable(f"{shown} cannot be reached: {_first_line(fault)}") from fault
        milliseconds = max(1, round(statement_s * 1000))
        try:
            self.rows(
                "SELECT set_config('TimeZone', 'UTC', false),"
                " set_config('statement_timeout', %s, false),"
                " set_config('lock_timeout', %s, false),"
                " set_config('idle_in_transaction_session_timeout', '0', false)",
                (str(milliseconds + _LOCKS_FIRST_MS), str(milliseconds)),
            )
            later = self.raw.info.server_version >= 150_000
            self._free = bool(self.scalar(_MAY_FREE if later else _MAY_FREE_BEFORE_15))
        except BaseException:
            self.close()
            raise
        self.enforces_references = not self._free

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement."""
        with self._told():
            return self.raw.execute(sql, parameters).rowcount

    def define(self, sql: str) -> None:
        """Like any other statement: whoever has read may write on beside it."""
        self.execute(sql)

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row, in a pipeline."""
        with self._told(), self.raw.cursor() as cursor:
            cursor.executemany(sql, rows)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Every row."""
        with self._told():
            return self.raw.execute(sql, parameters).fetchall()

    def scalar(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The first value of the first row."""
        with self._told():
            row = self.raw.execute(sql, parameters).fetchone()
        return row[0] if row else None

    def stream(
        self, sql: str, parameters: Sequence[Any] = (), batch_rows: int = 1000
    ) -> Generator[list[Row], None, None]:
        """The rows in batches, through a cursor at the server."""
        cursor = self.raw.cursor("strangler_stream")
        try:
            with self._told():
                cursor.execute(sql, parameters)
            while True:
                with self._told():
                    batch = cursor.fetchmany(batch_rows)
                if not batch:
                    return
                yield batch
        finally:
            if not self.raw.closed:
                cursor.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Read committed, with the mover's mark."""
        self.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        try:
            self._mark()
            yield
            self.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Repeatable read, read only; the first statement takes the snapshot."""
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            self.scalar("SELECT 1")
            yield
        finally:
            self._roll_back()

    def claim(self, name: str) -> None:
        """By an advisory lock of this connection."""
        number = zlib.crc32(f"strangler {name}".encode()) - 2**31
        if not self.scalar("SELECT pg_try_advisory_lock(%s, %s)", (_LOCKS, number)):
            raise LockBusy(f"another process is at work on '{name}' in {self._shown}")

    def describe(self, name: TableName) -> Table:
        """The table as it is."""
        return describe(self.rows, name)[1]

    def fingerprint(self, table: Table) -> str:
        """What the catalogue says; TRUNCATE is seen by a trigger, VACUUM FULL changes nothing."""
        return repr(describe(self.rows, table.name))

    def close(self) -> None:
        """Hang up."""
        self.raw.close()

    def _mark(self) -> None:
        if self._mover is None:
            return
        self.rows("SELECT set_config('strangler.mover', %s, true)", (self._mover,))
        if self._free:
            self.execute("SET LOCAL session_replication_role = replica")
        else:
            self.execute("SET CONSTRAINTS ALL DEFERRED")

    def _roll_back(self) -> None:
        # A connection that is gone has rolled back.
        if not self.raw.closed and self.raw.info.transaction_status:
            self.execute("ROLLBACK")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (errors.LockNotAvailable, errors.DeadlockDetected) as fault:
            raise LockBusy(f"{self._shown}: {_first_line(fault)}") from fault
        except errors.QueryCanceled as fault:
            raise HandoverFault(f"{self._shown}: {_first_line(fault)}") from fault
        except errors.IntegrityError as fault:
            raise Clash(f"{self._shown}: {_first_line(fault)}") from fault
        except psycopg.Error as fault:
            if self.raw.closed:
                raise DatabaseUnreachable(
                    f"{self._shown} went away: {_first_line(fault)}"
                ) from fault
            raise


def _first_line(fault: Exception) -> str:
    return str(fault).strip().partition("\n")[0]
