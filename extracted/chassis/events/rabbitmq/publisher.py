"""Publishes to the exchange and waits for each confirm."""

from __future__ import annotations

from pika.exceptions import UnroutableError

from extracted.chassis.events.port import BrokerUnavailableError, Message, UnroutedError
from extracted.chassis.events.rabbitmq.link import Link
from extracted.chassis.events.rabbitmq.topology import Names, declare_exchange, send


class RabbitPublisher:
    """See `port.Publisher`."""

    def __init__(self, link: Link, names: Names) -> None:
        self._link = link
        self._names = names

    def publish(self, message: Message) -> None:
        """See `port.Publisher`."""
        kept = self._link.is_open
        try:
            self._publish(message)
        except BrokerUnavailableError:
            # A connection that was kept since the last event may long have been closed.
            if not kept or self._link.is_open:
                raise
            self._publish(message)

    def close(self) -> None:
        """See `port.Publisher`."""
        self._link.close()

    def _publish(self, message: Message) -> None:
        is_new = self._link.open()
        with self._link.channel() as channel:
            if is_new:
                declare_exchange(channel, self._names)
            try:
                send(channel, message, self._names.exchange, message.topic)
            except UnroutableError:
                raise UnroutedError(message.topic) from None
