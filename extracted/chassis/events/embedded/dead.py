"""The dead letters of one queue of the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime

from extracted.chassis.events.embedded.file import EventFile, message, room
from extracted.chassis.events.embedded.publisher import PUT
from extracted.chassis.events.port import DeadLetter

LIST = "SELECT * FROM dead WHERE queue = ? ORDER BY place LIMIT ?"
COUNT = "SELECT count(*) FROM dead WHERE queue = ?"


class EmbeddedDeadLetters:
    """See `port.DeadLetters`."""

    def __init__(self, file: EventFile, queue: str, max_waiting: int) -> None:
        self._file = file
        self._queue = queue
        self._max_waiting = max_waiting

    def list(self, limit: int) -> Sequence[DeadLetter]:
        """See `port.DeadLetters`."""
        with self._file.reading() as connection:
            rows = connection.execute(LIST, (self._queue, limit)).fetchall()
        return [_dead_letter(row) for row in rows]

    def count(self) -> int:
        """See `port.DeadLetters`."""
        with self._file.reading() as connection:
            return int(connection.execute(COUNT, (self._queue,)).fetchone()[0])

    def replay(self, ids: Collection[str] | None) -> int:
        """See `port.DeadLetters`. All or none: it is one transaction."""
        return self._take(ids, self._put_back)

    def discard(self, ids: Collection[str] | None) -> int:
        """See `port.DeadLetters`."""
        return self._take(ids, lambda connection, row: None)

    def close(self) -> None:
        """See `port.DeadLetters`."""
        self._file.close()

    def _take(
        self,
        ids: Collection[str] | None,
        act: Callable[[sqlite3.Connection, sqlite3.Row], None],
    ) -> int:
        taken = 0
        with self._file.writing() as connection:
            for row in connection.execute(LIST, (self._queue, -1)).fetchall():
                if ids is None or row["id"] in ids:
                    act(connection, row)
                    connection.execute("DELETE FROM dead WHERE place = ?", (row["place"],))
                    taken += 1
        return taken

    def _put_back(self, connection: sqlite3.Connection, row: sqlite3.Row) -> None:
        room(connection, self._queue, self._max_waiting)
        values = (self._queue, row["id"], row["topic"], row["order_key"], row["body"])
        connection.execute(PUT, values)


def _dead_letter(row: sqlite3.Row) -> DeadLetter:
    died_at = datetime.fromtimestamp(row["died_s"], UTC)
    return DeadLetter(message(row), row["failures"], row["reason"], died_at)
