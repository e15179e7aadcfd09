"""Puts messages into every queue that takes their topic, in one transaction."""

from __future__ import annotations

from extracted.chassis.events.embedded.file import EventFile, room
from extracted.chassis.events.port import Message, UnroutedError
from extracted.chassis.events.topics import takes

PUT = (
    "INSERT INTO waiting (queue, id, topic, order_key, body) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (queue, id) DO NOTHING"
)


class EmbeddedPublisher:
    """See `port.Publisher`."""

    def __init__(self, file: EventFile, max_waiting: int) -> None:
        self._file = file
        self._max_waiting = max_waiting

    def publish(self, message: Message) -> None:
        """See `port.Publisher`."""
        with self._file.writing() as connection:
            bindings = connection.execute("SELECT queue, pattern FROM binding").fetchall()
            queues = {row["queue"] for row in bindings if takes(row["pattern"], message.topic)}
            if message.mandatory and not queues:
                raise UnroutedError(message.topic)
            for queue in sorted(queues):
                room(connection, queue, self._max_waiting)
                values = (queue, message.id, message.topic, message.key, message.body)
                connection.execute(PUT, values)

    def close(self) -> None:
        """See `port.Publisher`."""
        self._file.close()
