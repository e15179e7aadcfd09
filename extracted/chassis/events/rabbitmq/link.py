"""One connection to RabbitMQ with one channel that confirms.

Every wait has a bound: 5 s to connect, 10 s while the broker takes nothing (its memory or disk
alarm), two heartbeats of silence otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pika
from pika.exceptions import AMQPError, NackError, UnroutableError

from extracted.chassis.events.port import BrokerUnavailableError

CONNECT_S = 5.0
BLOCKED_S = 10.0
# A consumer does not send any while its handler is at work: at least that time has to pass.
HEARTBEAT_S = 60


class Link:
    """Opened only by `open`; lets go of its connection at any trouble."""

    def __init__(self, url: str, heartbeat_s: int = HEARTBEAT_S) -> None:
        parts = urlsplit(url)
        self._where = f"{parts.hostname}:{parts.port or 5672}"
        self._parameters = pika.URLParameters(url)
        self._parameters.heartbeat = heartbeat_s
        self._parameters.socket_timeout = CONNECT_S
        self._parameters.stack_timeout = 2 * CONNECT_S
        self._parameters.blocked_connection_timeout = BLOCKED_S
        self._parameters.connection_attempts = 1
        self._connection: Any = None
        self._channel: Any = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as is known without asking."""
        return self._channel is not None and self._channel.is_open

    def open(self) -> bool:
        """Connect, unless there is a connection; whether it is a new one.

        Raises BrokerUnavailableError.
        """
        if self.is_open:
            return False
        self.close()
        with self._blamed_on_the_broker():
            self._connection = pika.BlockingConnection(self._parameters)
            channel = self._connection.channel()
            channel.confirm_delivery()
            self._channel = channel
        return True

    def has(self, channel: Any) -> bool:
        """Whether this is the channel that there is now, and open."""
        return channel is self._channel and self.is_open

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """The channel. Raises BrokerUnavailableError for whatever happens to it meanwhile."""
        if not self.is_open:
            self.close()
            raise BrokerUnavailableError(f"The connection to RabbitMQ at {self._where} was lost.")
        with self._blamed_on_the_broker():
            yield self._channel

    @contextmanager
    def _blamed_on_the_broker(self) -> Iterator[None]:
        try:
            yield
        except NackError as error:
            raise BrokerUnavailableError(
                f"RabbitMQ at {self._where} refuses a message: a queue that takes it is full. Does"
                " its consumer run?"
            ) from error
        except UnroutableError:
            raise
        except (AMQPError, OSError) as error:
            self.close()
            told = str(error) or type(error).__name__
            raise BrokerUnavailableError(
                f"RabbitMQ at {self._where} cannot be used: {told}"
            ) from error

    def pump(self, seconds: float) -> None:
        """Let pika work for up to this time, or until something has been dispatched."""
        with self.channel():
            self._connection.process_data_events(time_limit=seconds)

    def sleep(self, seconds: float) -> None:
        """Wait this long while heartbeats go on."""
        with self.channel():
            self._connection.sleep(seconds)

    def close(self) -> None:
        """Close the connection, if there is one; unacknowledged messages go back."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with suppress(AMQPError, OSError):
                connection.close()
