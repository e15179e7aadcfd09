"""One connection to RabbitMQ with one channel that confirms one message at a time.

Every wait has a bound: those of `address`, and two heartbeats of silence otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pika
from pika.exceptions import AMQPError, NackError, UnroutableError

from extracted.chassis.events.rabbitmq.address import Address


class Link:
    """Opened only by `open`; lets go of its connection at any trouble."""

    def __init__(self, address: Address) -> None:
        self._address = address
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
            self._connection = pika.BlockingConnection(self._address.parameters)
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
            raise self._address.lost()
        with self._blamed_on_the_broker():
            yield self._channel

    @contextmanager
    def _blamed_on_the_broker(self) -> Iterator[None]:
        try:
            yield
        except NackError as error:
            raise self._address.refuses() from error
        except UnroutableError:
            raise
        except (AMQPError, OSError) as error:
            self.close()
            raise self._address.unusable(error) from error

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
