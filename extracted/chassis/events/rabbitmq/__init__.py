"""RabbitMQ 3.10 or later, by pika.

It keeps what `port` promises, with one difference: that later messages of a key wait behind one
that is being tried again is remembered by the consumer that runs. If that one ends, or another
takes its place, the later ones may be handled first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from extracted.chassis.events.port import DELAYS_S, Subscription
from extracted.chassis.events.rabbitmq.address import Address
from extracted.chassis.events.rabbitmq.consumer import RabbitConsumer
from extracted.chassis.events.rabbitmq.contents import RabbitContents
from extracted.chassis.events.rabbitmq.dead import RabbitDeadLetters
from extracted.chassis.events.rabbitmq.link import Link
from extracted.chassis.events.rabbitmq.pipeline import Pipeline
from extracted.chassis.events.rabbitmq.publisher import RabbitPublisher
from extracted.chassis.events.rabbitmq.topology import Names
from extracted.chassis.logs import quieten


def place(url: str) -> tuple[Address, Names]:
    """Where the broker is, and what things are called there. Raises ValueError."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    names = Names(options.pop("namespace", ""))
    return Address(urlunsplit(parts._replace(query=urlencode(options)))), names


class RabbitBroker:
    """See `port.Broker`. The URL is AMQP's: amqp://user:password@host:5672/vhost.

    `?namespace=t1` at its end keeps exchange and queues apart from others in the same vhost.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._address, self._names = place(url)
        self._clock = clock
        # Each try that fails would be eight lines. What they tell of is raised too, and told of
        # once by whoever waits for the broker.
        quieten("pika", logging.CRITICAL)

    def publisher(self) -> RabbitPublisher:
        """See `port.Broker`."""
        return RabbitPublisher(Pipeline(self._address, self._names))

    def consumer(self, subscription: Subscription) -> RabbitConsumer:
        """See `port.Broker`."""
        return RabbitConsumer(Link(self._address), self._names, subscription, self._clock)

    def dead_letters(self, queue: str) -> RabbitDeadLetters:
        """See `port.Broker`."""
        return RabbitDeadLetters(Link(self._address), self._names, queue)

    def contents(self, queue: str, delays_s: Sequence[float] = DELAYS_S) -> RabbitContents:
        """See `port.Broker`."""
        return RabbitContents(Link(self._address), self._names, queue, delays_s)
