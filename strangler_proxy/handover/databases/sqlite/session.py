"""One connection to a SQLite file.

The journal mode is the application's: a session leaves it as it is. In another mode than WAL a
reader keeps writers from committing, so read in short pages rather than one long stream.
References are not enforced in a session, so rows may come in any order; nor does a delete cascade.
"""

import hashlib
import os
import socket
import sqlite3
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from strangler_proxy.handover.databases.port import DatabaseKind, Row, Table, TableName
from strangler_proxy.handover.databases.sqlite.dialect import SqliteDialect
from strangler_proxy.handover.databases.sqlite.schema import describe
from strangler_proxy.handover.faults import Clash, DatabaseUnreachable, HandoverFault, LockBusy
from strangler_proxy.handover.naming import mover_table

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_LOST = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
)
_STEPS_BETWEEN_LOOKS = 100_000  # virtual machine steps; some milliseconds


class SqliteDatabase:
    """A file; see port.Database."""

    kind: DatabaseKind = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dialect = SqliteDialect()
        self.shown = f"sqlite:///{path}"

    def session(self, mover: str | None = None, statement_s: float = 60.0) -> "SqliteSession":
        """Open the file, which must be there."""
        return SqliteSession(self.path, mover, statement_s)


class SqliteSession:
    """See port.Session."""

    def __init__(self, path: Path, mover: str | None, statement_s: float) -> None:
        self.dialect = SqliteDialect()
        self.enforces_references = False
        self._path = path
        self._mover = mover
        self._statement_s = statement_s
        self._deadline = 0.0
        self._claims: list[socket.socket] = []
        with _told(path):
            self.raw = sqlite3.connect(
                f"file:{quote(str(path))}?mode=rw",
                uri=True,
                timeout=statement_s,
                isolation_level=None,
                check_same_thread=False,
            )
        self.raw.set_progress_handler(self._late, _STEPS_BETWEEN_LOOKS)
        try:
            self.execute("PRAGMA foreign_keys = OFF")
            self.scalar("SELECT count(*) FROM sqlite_master")
        except BaseException:
            self.close()
            raise

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement."""
        with self._asked():
            return self.raw.execute(sql, parameters).rowcount

    def define(self, sql: str) -> None:
        """Like any other statement: whoever has read may write on beside it."""
        self.execute(sql)

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a prepared statement for each row."""
        with self._asked():
            self.raw.executemany(sql, rows)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Every row."""
        with self._asked():
            return self.raw.execute(sql, parameters).fetchall()

    def scalar(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The first value of the first row."""
        with self._asked():
            row = self.raw.execute(sql, parameters).fetchone()
        return row[0] if row else None

    def stream(
        self, sql: str, parameters: Sequence[Any] = (), batch_rows: int = 1000
    ) -> Generator[list[Row], None, None]:
        """The rows in batches, read from the file as they are asked for."""
        with self._asked():
            cursor = self.raw.execute(sql, parameters)
        try:
            while True:
                with self._asked():
                    batch = cursor.fetchmany(batch_rows)
                if not batch:
                    return
                yield batch
        finally:
            cursor.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Has the write lock from the start, and the mover's mark where capture looks for it."""
        self.execute("BEGIN IMMEDIATE")
        try:
            marked = self._mark()
            yield
            if marked:
                self.execute(f"DELETE FROM {self.dialect.quote(marked)}")  # noqa: S608
            self.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """As of one moment: the first read fixes it."""
        self.execute("BEGIN")
        try:
            self.scalar("SELECT count(*) FROM sqlite_master")
            yield
        finally:
            self._roll_back()

    def claim(self, name: str) -> None:
        """By a socket's name, which the kernel gives free when this process dies."""
        where = hashlib.sha256(f"{os.path.realpath(self._path)}\0{name}".encode()).hexdigest()
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claim.bind(f"\0strangler-{where[:40]}")
        except OSError as fault:
            claim.close()
            raise LockBusy(f"another process is at work on '{name}' in {self._path}") from fault
        self._claims.append(claim)

    def describe(self, name: TableName) -> Table:
        """The table as it is."""
        return describe(self.rows, name)

    def fingerprint(self, table: Table) -> str:
        """What the catalogue says of the table."""
        return repr(self.describe(table.name))

    def close(self) -> None:
        """Close the file; what is not committed is rolled back."""
        self.raw.close()
        while self._claims:
            self._claims.pop().close()

    def _mark(self) -> str | None:
        if self._mover is None:
            return None
        table = mover_table(self._mover)
        if not self.scalar("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)):
            return None  # nothing is captured at this side
        self.execute(f"INSERT INTO {self.dialect.quote(table)} VALUES (1)")  # noqa: S608
        return table

    def _roll_back(self) -> None:
        # A full disk and the like have rolled back already.
        if self.raw.in_transaction:
            self.execute("ROLLBACK")

    def _late(self) -> bool:
        return time.monotonic() > self._deadline

    @contextmanager
    def _asked(self) -> Iterator[None]:
        self._deadline = time.monotonic() + self._statement_s
        with _told(self._path):
            yield


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as fault:
        raise _fault(path, fault) from fault
    except sqlite3.IntegrityError as fault:
        raise Clash(f"{path}: {fault}") from fault
    except sqlite3.DatabaseError as fault:
        if _code(fault) in _LOST:
            raise _fault(path, fault) from fault
        raise


def _fault(path: Path, fault: sqlite3.Error) -> Exception:
    code = _code(fault)
    if code in _BUSY:
        return LockBusy(f"{path} is kept locked by another connection")
    if code in _LOST:
        return DatabaseUnreachable(f"{path} cannot be used: {fault}")
    if code == sqlite3.SQLITE_INTERRUPT:
        return HandoverFault(f"{path}: a statement took longer than it may")
    return fault


def _code(fault: sqlite3.Error) -> int:
    """The primary result code: the module itself raises errors that have none."""
    return (getattr(fault, "sqlite_errorcode", None) or 0) & 0xFF
