"""One connection to MySQL or MariaDB.

Foreign keys are not checked in a session, so that rows may come in any order and nothing cascades;
numbers given for AUTO_INCREMENT columns are kept, zero too; nothing is cut off or rounded to fit
without an error. Locks and marks belong to the connection: no pooler between.
"""

import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pymysql
from pymysql.constants import ER
from pymysql.cursors import SSCursor

from strangler_proxy.handover.databases.mysql.dialect import MysqlDialect
from strangler_proxy.handover.databases.mysql.errors import meaning, words
from strangler_proxy.handover.databases.mysql.schema import describe
from strangler_proxy.handover.databases.port import DatabaseKind, Row, Table, TableName
from strangler_proxy.handover.faults import DatabaseUnreachable, HandoverRefused, LockBusy

_CONNECT_S = 10
_LOOK_S = 0.005
_MISSES = 10
_LOCKS_FIRST_S = 1  # a wait for a lock is told as one
_PATIENCE_S = 10  # the server's own time limits come first
_MODES = "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO"
# InnoDB knows its tables by the names of their files.
_NUMBER = """
SELECT table_id FROM information_schema.{} WHERE BINARY name = CONCAT(
  CAST(CONVERT(%s USING filename) AS BINARY), '/', CAST(CONVERT(%s USING filename) AS BINARY))
"""
_TLS = {"ssl_ca", "ssl_cert", "ssl_key", "ssl_verify_cert", "ssl_verify_identity"}


class MysqlDatabase:
    """A database of a server; see port.Database."""

    kind: DatabaseKind = "mysql"

    def __init__(
        self,
        *,
        host: str,
        port: int,
        user: str,
        password: str,
        name: str,
        options: Mapping[str, str],
        shown: str,
    ) -> None:
        if unknown := set(options) - _TLS - {"charset", "unix_socket"}:
            raise HandoverRefused(f"{shown} has options that are not known: {sorted(unknown)}")
        options = {key: value for key, value in options.items() if key != "charset"}
        self._arguments: dict[str, Any] = {
            "host": host,
            "port": port,
            "user": user,
            "password": password,
            "database": name,
            **options,
        }
        self.dialect = MysqlDialect()
        self.shown = shown

    def session(self, mover: str | None = None, statement_s: float = 60.0) -> "MysqlSession":
        """Connect."""
        return MysqlSession(self._arguments, self.shown, mover, statement_s)


class MysqlSession:
    """See port.Session."""

    def __init__(
        self, arguments: Mapping[str, Any], shown: str, mover: str | None, statement_s: float
    ) -> None:
        self.dialect = MysqlDialect()
        self.enforces_references = False
        self._shown = shown
        self._missed = 0
        try:
            self.raw = pymysql.connect(
                **arguments,
                charset="utf8mb4",
                autocommit=True,
                connect_timeout=_CONNECT_S,
                read_timeout=statement_s + _PATIENCE_S,
                write_timeout=statement_s + _PATIENCE_S,
                program_name=f"strangler {mover or ''}".strip(),
                local_infile=True,  # for loads of the mover's own making
            )
        except pymysql.err.OperationalError as fault:
            raise DatabaseUnreachable(f"{shown} cannot be reached: {words(fault)}") from fault
        try:
            self._prepare(mover, statement_s)
        except BaseException:
            self.close()
            raise

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement."""
        with self._told(), self.raw.cursor() as cursor:
            return int(cursor.execute(sql, parameters))

    def define(self, sql: str) -> None:
        """Run DDL in a moment in which no transaction uses its tables.

        Writers queue behind a DDL that waits. One who has read the table before would then be
        waited for and wait himself, and the server ends him, not the DDL (error 1213, metadata
        locks). So MariaDB is told not to wait, and asked often. MySQL waits a second at least; and
        so does MariaDB where such a moment has not come in ten times the session's time for locks.
        """
        if not self._maria or self._missed >= _MISSES:
            self.execute(sql)
            return
        before = self.scalar("SELECT @@lock_wait_timeout")
        self.execute("SET lock_wait_timeout = 0")
        try:
            self._define_soon(sql, time.monotonic() + before)
        finally:
            if self.raw.open:
                self.execute("SET lock_wait_timeout = %s", (before,))

    def _define_soon(self, sql: str, deadline: float) -> None:
        while True:
            try:
                self.execute(sql)
            except LockBusy:
                if time.monotonic() >= deadline:
                    self._missed += 1
                    raise
            else:
                return
            time.sleep(_LOOK_S)

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row; the driver sends an INSERT's rows together."""
        with self._told(), self.raw.cursor() as cursor:
            if "%%" in sql:  # the driver would leave it doubled behind VALUES
                for row in rows:
                    cursor.execute(sql, row)
            else:
                cursor.executemany(sql, list(rows))

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Every row."""
        with self._told(), self.raw.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())

    def scalar(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The first value of the first row."""
        rows = self.rows(sql, parameters)
        return rows[0][0] if rows else None

    def stream(
        self, sql: str, parameters: Sequence[Any] = (), batch_rows: int = 1000
    ) -> Generator[list[Row], None, None]:
        """The rows in batches, as they come from the server."""
        cursor = self.raw.cursor(SSCursor)
        try:
            with self._told():
                cursor.execute(sql, parameters)
            while True:
                with self._told():
                    batch = list(cursor.fetchmany(batch_rows))
                if not batch:
                    return
                yield batch
        finally:
            if self.raw.open:
                cursor.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Read committed; a session's mark holds for all that it does. DDL would commit it."""
        self.execute("START TRANSACTION")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Repeatable read from this moment on, read only."""
        self.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        try:
            yield
        finally:
            self._roll_back()

    def claim(self, name: str) -> None:
        """By a lock of this connection, named by the database too: it holds for the server."""
        if self.scalar("SELECT GET_LOCK(SHA1(CONCAT(DATABASE(), ' ', %s)), 0)", (name,)) != 1:
            raise LockBusy(f"another process is at work on '{name}' in {self._shown}")

    def describe(self, name: TableName) -> Table:
        """The table as it is."""
        return describe(self.rows, name)

    def fingerprint(self, table: Table) -> str:
        """What the catalogue says, and InnoDB's own number of the table: TRUNCATE gives a new one.

        Only accounts with the right PROCESS see that number; for others a TRUNCATE shows by counts.
        """
        schema, name = table.name
        sql = _NUMBER.format("innodb_sys_tables" if self._maria else "innodb_tables")
        try:
            number = self.rows(sql, (schema, name))
        except pymysql.err.OperationalError as fault:
            if fault.args[0] != ER.SPECIFIC_ACCESS_DENIED_ERROR:
                raise
            number = []
        return repr((number, describe(self.rows, table.name)))

    def close(self) -> None:
        """Hang up."""
        if self.raw.open:
            self.raw.close()

    def _prepare(self, mover: str | None, statement_s: float) -> None:
        seconds = max(1, round(statement_s))
        self._maria = "mariadb" in str(self.raw.get_server_info()).lower()
        self.execute("SET time_zone = '+00:00', sql_mode = %s", (_MODES,))
        self.execute("SET foreign_key_checks = 0, @strangler_mover = %s", (mover,))
        self.execute(
            "SET innodb_lock_wait_timeout = %s, lock_wait_timeout = %s", (seconds, seconds)
        )
        if self._maria:
            self.execute("SET max_statement_time = %s", (statement_s + _LOCKS_FIRST_S,))
        else:
            self.execute("SET max_execution_time = %s", ((seconds + _LOCKS_FIRST_S) * 1000,))
            # By default MySQL tells an AUTO_INCREMENT as it was up to a day ago.
            self.execute("SET information_schema_stats_expiry = 0")
        # Statement-based logs refuse writes at this level.
        if not self.scalar("SELECT @@log_bin AND @@binlog_format = 'STATEMENT'"):
            self.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def _roll_back(self) -> None:
        if self.raw.open:
            try:
                self.execute("ROLLBACK")
            except DatabaseUnreachable:
                self.close()  # a connection that is gone has rolled back

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except pymysql.err.MySQLError as fault:
            told = meaning(fault, self._shown, self.raw.open)
            if told is None:
                raise
            raise told from fault
