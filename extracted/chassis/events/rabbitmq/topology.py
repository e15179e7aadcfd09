"""The exchange and the queues, and messages as RabbitMQ carries them.

`events` is a durable topic exchange. A consumer's queue is a quorum queue with a single active
consumer: however many are started, one at a time gets the messages, in order. `<queue>.retry.<ms>`
hold messages that are to be tried again, for so many milliseconds, and hand them back. Both hand on
at least once: such a queue lets a message go when the next one has it. `<queue>.dead` keeps what is
put aside. A full queue refuses; nothing is dropped for want of room.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pika

from extracted.chassis.events.port import (
    DELIVERY_LIMIT,
    MAX_WAITING,
    DeadLetter,
    Message,
    Subscription,
)

DIRECT = ""  # the default exchange, which takes a queue's name for a routing key
FAILURES, REASON, DIED_MS, KEY = "failures", "reason", "died-ms", "key"

_QUORUM = {
    "x-queue-type": "quorum",
    "x-overflow": "reject-publish",
    "x-dead-letter-strategy": "at-least-once",
    "x-dead-letter-exchange": DIRECT,
    "x-max-length": MAX_WAITING,
}


@dataclass(frozen=True, slots=True)
class Names:
    """What things are called; in a namespace `t1`, the exchange is `t1.events`, and so on."""

    namespace: str = ""

    @property
    def exchange(self) -> str:
        """Where all events are published to."""
        return f"{self.namespace}.events" if self.namespace else "events"

    def queue(self, queue: str) -> str:
        """A consumer's queue."""
        return f"{self.namespace}.{queue}" if self.namespace else queue

    def dead(self, queue: str) -> str:
        """Where the dead letters of a queue are."""
        return f"{self.queue(queue)}.dead"

    def retry(self, queue: str, delay_s: float) -> str:
        """Where messages wait for so long. The delay is in the name: queues cannot be changed."""
        return f"{self.queue(queue)}.retry.{round(delay_s * 1000)}"


def declare_exchange(channel: Any, names: Names) -> None:
    """Make the exchange, if need be."""
    channel.exchange_declare(names.exchange, exchange_type="topic", durable=True)


def declare_dead(channel: Any, names: Names, queue: str) -> None:
    """Make a queue's place for dead letters, if need be.

    It is a classic queue: looking through a quorum queue counts as deliveries, of which RabbitMQ 4
    allows twenty.
    """
    arguments = {"x-max-length": MAX_WAITING, "x-overflow": "reject-publish"}
    channel.queue_declare(names.dead(queue), durable=True, arguments=arguments)


def declare(channel: Any, names: Names, subscription: Subscription) -> None:
    """Make all that a subscription needs, if need be; bind its queue last, when it is complete."""
    queue = names.queue(subscription.queue)
    declare_exchange(channel, names)
    declare_dead(channel, names, subscription.queue)
    channel.queue_declare(
        queue,
        durable=True,
        arguments={
            **_QUORUM,
            "x-single-active-consumer": True,
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-routing-key": names.dead(subscription.queue),
        },
    )
    for delay_s in subscription.delays_s:
        arguments = {"x-message-ttl": round(delay_s * 1000), "x-dead-letter-routing-key": queue}
        channel.queue_declare(
            names.retry(subscription.queue, delay_s),
            durable=True,
            arguments={**_QUORUM, **arguments},
        )
    for topic in subscription.topics:
        channel.queue_bind(queue, names.exchange, topic)


def send(
    channel: Any, message: Message, exchange: str, routing_key: str, **headers: str | int
) -> None:
    """Publish; on a blocking channel, return when it is confirmed. Raises pika's exceptions."""
    properties = pika.BasicProperties(
        delivery_mode=pika.DeliveryMode.Persistent.value,
        content_type="application/json",
        message_id=message.id,
        type=message.topic,
        headers={KEY: message.key, **headers},
    )
    channel.basic_publish(
        exchange, routing_key, message.body, properties, mandatory=message.mandatory
    )


def message_of(properties: Any, body: bytes) -> Message:
    """The message as it was published; whatever is missing reads as nothing.

    Mandatory, as all that is sent on from here goes to a queue that has to be there.
    """
    headers = properties.headers or {}
    return Message(
        properties.message_id or "",
        properties.type or "",
        str(headers.get(KEY, "")),
        body,
        mandatory=True,
    )


def failures_of(properties: Any) -> int:
    """How many tries have failed."""
    found = (properties.headers or {}).get(FAILURES)
    return int(found) if isinstance(found, int) else 0


def returns_of(properties: Any) -> int:
    """How often RabbitMQ has delivered it in vain, as its delivery limit counts."""
    found = (properties.headers or {}).get("x-delivery-count")
    return int(found) if isinstance(found, int) else 0


def letter_of(properties: Any, body: bytes) -> DeadLetter:
    """A message that was put aside: by a consumer, or by RabbitMQ in its own words."""
    message, failures = message_of(properties, body), failures_of(properties)
    headers = properties.headers or {}
    if REASON in headers and isinstance(headers.get(DIED_MS), int):
        died_at = datetime.fromtimestamp(headers[DIED_MS] / 1000, UTC)
        return DeadLetter(message, failures, str(headers[REASON]), died_at)
    last = (headers.get("x-death") or [{}])[0]
    why = str(last.get("reason", "unknown"))
    if why == "delivery_limit":
        why = f"Its consumer ended {DELIVERY_LIMIT + 1} times while it had this in hand."
    died_at = last.get("time") or datetime.fromtimestamp(0, UTC)
    return DeadLetter(message, failures + 1, why, died_at)
