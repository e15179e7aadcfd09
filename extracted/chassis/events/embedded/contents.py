"""All that one queue of the file keeps."""

from __future__ import annotations

from extracted.chassis.events.embedded.file import EventFile

# Dead letters too: both tables have a queue's messages.
COUNT = """
SELECT (SELECT count(*) FROM waiting WHERE queue = :queue)
    + (SELECT count(*) FROM dead WHERE queue = :queue)
"""
EMPTY = ("DELETE FROM waiting WHERE queue = ?", "DELETE FROM dead WHERE queue = ?")


class EmbeddedContents:
    """See `port.Contents`. What is in hand counts as waiting, and is thrown away with the rest."""

    def __init__(self, file: EventFile, queue: str) -> None:
        self._file = file
        self._queue = queue

    def count(self) -> int:
        """See `port.Contents`."""
        with self._file.reading() as connection:
            return int(connection.execute(COUNT, {"queue": self._queue}).fetchone()[0])

    def empty(self) -> int:
        """See `port.Contents`. All or none: it is one transaction."""
        with self._file.writing() as connection:
            return sum(connection.execute(each, (self._queue,)).rowcount for each in EMPTY)

    def close(self) -> None:
        """See `port.Contents`."""
        self._file.close()
