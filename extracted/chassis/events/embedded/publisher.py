"""Puts messages into every queue that takes their topic, all in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from extracted.chassis.events.embedded.file import EventFile, room
from extracted.chassis.events.port import (
    BrokerUnavailableError,
    Message,
    Outcome,
    UnroutedError,
)
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

    def publish_all(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """See `port.Publisher`."""
        try:
            with self._file.writing() as connection:
                bindings = connection.execute("SELECT queue, pattern FROM binding").fetchall()
                return [self._put(connection, bindings, message) for message in messages]
        except BrokerUnavailableError as error:
            return [error] * len(messages)

    def close(self) -> None:
        """See `port.Publisher`."""
        self._file.close()

    def _put(
        self, connection: sqlite3.Connection, bindings: Sequence[sqlite3.Row], message: Message
    ) -> Outcome:
        queues = {row["queue"] for row in bindings if takes(row["pattern"], message.topic)}
        if message.mandatory and not queues:
            return UnroutedError(message.topic)
        try:
            for queue in queues:
                room(connection, queue, self._max_waiting)
        except BrokerUnavailableError as error:
            return error
        for queue in sorted(queues):
            values = (queue, message.id, message.topic, message.key, message.body)
            connection.execute(PUT, values)
        return None
