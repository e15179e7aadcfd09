"""The file of the embedded broker: its tables, and transactions on it.

A commit is on disk before it returns (`synchronous = FULL`): what is confirmed survives a power
cut.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from extracted.chassis.events.port import BrokerUnavailableError, Message, QueueFullError

BUSY_S = 10.0
VERSION = 1

SCHEMA = """
CREATE TABLE queue (name TEXT PRIMARY KEY, waiting INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE binding (
    queue TEXT NOT NULL, pattern TEXT NOT NULL, PRIMARY KEY (queue, pattern)
) WITHOUT ROWID;
-- A place is never given twice, and within a key the lowest is the next.
CREATE TABLE waiting (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL, id TEXT NOT NULL, topic TEXT NOT NULL, order_key TEXT NOT NULL,
    body BLOB NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    deliveries INTEGER NOT NULL DEFAULT 0,
    due_s REAL NOT NULL DEFAULT 0,
    lease TEXT,
    lease_until_s REAL NOT NULL DEFAULT 0
);
CREATE INDEX waiting_in_order ON waiting (queue, place);
CREATE INDEX waiting_by_key ON waiting (queue, order_key, place);
-- Published twice, by a relay that was killed before it had noted the first time: kept once.
CREATE UNIQUE INDEX waiting_once ON waiting (queue, id);
CREATE TRIGGER waiting_more AFTER INSERT ON waiting BEGIN
    UPDATE queue SET waiting = waiting + 1 WHERE name = new.queue;
END;
CREATE TRIGGER waiting_less AFTER DELETE ON waiting BEGIN
    UPDATE queue SET waiting = waiting - 1 WHERE name = old.queue;
END;
CREATE TABLE dead (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL, id TEXT NOT NULL, topic TEXT NOT NULL, order_key TEXT NOT NULL,
    body BLOB NOT NULL,
    failures INTEGER NOT NULL, reason TEXT NOT NULL, died_s REAL NOT NULL
);
CREATE INDEX dead_in_order ON dead (queue, place);
"""


class EventFile:
    """One connection to the file, opened at the first use and made anew after trouble."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one statement. Raises BrokerUnavailableError."""
        try:
            yield self._opened()
        except sqlite3.Error as error:
            self.close()
            raise BrokerUnavailableError(
                f"The events in {self._path} cannot be used: {error}. Check that its folder exists"
                " and can be written, and that the disk is not full."
            ) from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection within a transaction that is on disk when the block ends without error."""
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            # A publisher is made by one thread and used by another, one at a time.
            connection = sqlite3.connect(
                self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            try:
                _prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection


def _prepare(connection: sqlite3.Connection) -> None:
    _switch_to_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    if _version(connection) == VERSION:
        return
    connection.execute("BEGIN EXCLUSIVE")
    if (found := _version(connection)) not in (0, VERSION):
        raise sqlite3.DatabaseError(f"its tables have version {found}, and {VERSION} is known here")
    if found == 0:
        for statement in _statements(SCHEMA):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.commit()


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Where several make the file at the same moment, SQLite does not wait for them by itself."""
    give_up = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    """One at a time: `executescript` would commit the transaction first."""
    gathered = ""
    for line in script.splitlines(keepends=True):
        gathered += line
        if sqlite3.complete_statement(gathered):
            yield gathered
            gathered = ""


def message(row: sqlite3.Row) -> Message:
    """The message of a row of `waiting` or `dead`; mandatory, as it is in a queue that wants it."""
    return Message(row["id"], row["topic"], row["order_key"], row["body"], mandatory=True)


def room(connection: sqlite3.Connection, queue: str, most: int) -> None:
    """Raise QueueFullError when the queue is full."""
    found = connection.execute("SELECT waiting FROM queue WHERE name = ?", (queue,)).fetchone()
    if found is not None and found["waiting"] >= most:
        raise QueueFullError(
            f"The queue {queue} is full with {found['waiting']} messages: does its consumer run?"
        )
