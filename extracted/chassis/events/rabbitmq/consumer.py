"""Takes messages from a queue, one at a time, and sends those that failed round by delay queues.

A message that is sent on is confirmed there before it is acknowledged here: killed in between, it
is in both, with the same id.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pika.exceptions import UnroutableError

from extracted.chassis.events.lanes import Lanes
from extracted.chassis.events.port import (
    DELIVERY_LIMIT,
    MAX_REASON_CHARS,
    BrokerUnavailableError,
    Delivery,
    Subscription,
)
from extracted.chassis.events.rabbitmq.link import Link
from extracted.chassis.events.rabbitmq.topology import (
    DIED_MS,
    DIRECT,
    FAILURES,
    REASON,
    Names,
    declare,
    failures_of,
    message_of,
    returns_of,
    send,
)

# RabbitMQ takes a connection that was lost, or a message held for half an hour, for a death of the
# consumer. Who has outlived so many of them with one message in hand has it counted anew.
OUTLIVED = DELIVERY_LIMIT // 2


class RabbitConsumer:
    """See `port.Consumer`. Of several on one queue, one is given messages until it ends.

    It holds one message at a time: if it dies of it, RabbitMQ counts no other as delivered.
    """

    def __init__(
        self, link: Link, names: Names, subscription: Subscription, clock: Callable[[], float]
    ) -> None:
        self._link = link
        self._names = names
        self._subscription = subscription
        self._lanes = Lanes(clock)
        self._come: deque[Delivery] = deque()
        self._cancelled = False
        self._last_id: str | None = None

    def receive(self, timeout_s: float) -> Delivery | None:
        """See `port.Consumer`."""
        give_up = time.monotonic() + timeout_s
        while True:
            delivery = self._next(give_up)
            if delivery is None:
                return None
            message = delivery.message
            wait_s = self._lanes.wait_s(message.key, message.id, self._subscription.delays_s)
            if wait_s is None and self._has_outlived(delivery):
                wait_s = min(self._subscription.delays_s, default=None)
            if wait_s is None:
                self._last_id = message.id
                return delivery
            self._send_round(delivery, wait_s, delivery.failures)

    def done(self, delivery: Delivery) -> None:
        """See `port.Consumer`."""
        self._acknowledge(delivery)
        self._lanes.ends(delivery.message.key, delivery.message.id)

    def retry(self, delivery: Delivery, delay_s: float) -> None:
        """See `port.Consumer`."""
        self._send_round(delivery, delay_s, delivery.failures + 1)

    def bury(self, delivery: Delivery, reason: str) -> None:
        """See `port.Consumer`."""
        headers: dict[str, str | int] = {
            FAILURES: delivery.failures + 1,
            REASON: reason[:MAX_REASON_CHARS],
            DIED_MS: round(time.time() * 1000),
        }
        self._send_on(delivery, self._names.dead(self._subscription.queue), **headers)
        self._lanes.ends(delivery.message.key, delivery.message.id)

    def wait(self, delivery: Delivery, seconds: float) -> None:
        """See `port.Consumer`."""
        self._link.sleep(seconds)

    def close(self) -> None:
        """See `port.Consumer`."""
        self._come.clear()
        self._link.close()

    def _next(self, give_up: float) -> Delivery | None:
        if self._link.open():
            self._begin()
        while not self._come:
            left_s = give_up - time.monotonic()
            self._link.pump(max(0.0, left_s))
            if self._cancelled:
                self._link.close()
                raise BrokerUnavailableError(
                    f"RabbitMQ has ended the consumption of {self._subscription.queue}: the queue"
                    " was deleted, or its node went down."
                )
            if left_s <= 0:
                break
        return self._come.popleft() if self._come else None

    def _begin(self) -> None:
        self._come.clear()
        self._cancelled = False
        try:
            with self._link.channel() as channel:
                declare(channel, self._names, self._subscription)
                channel.basic_qos(prefetch_count=1)
                channel.add_on_cancel_callback(self._on_cancel)
                channel.basic_consume(self._names.queue(self._subscription.queue), self._on_message)
        except BrokerUnavailableError:
            self._link.close()  # half begun is not begun
            raise

    def _on_message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        receipt = _Receipt(channel, method.delivery_tag, returns_of(properties))
        self._come.append(Delivery(message_of(properties, body), failures_of(properties), receipt))

    def _on_cancel(self, _frame: Any) -> None:
        self._cancelled = True

    def _send_round(self, delivery: Delivery, delay_s: float, failures: int) -> None:
        queue = self._names.retry(self._subscription.queue, delay_s)
        self._send_on(delivery, queue, **{FAILURES: failures})
        self._lanes.leaves(delivery.message.key, delivery.message.id, delay_s)

    def _send_on(self, delivery: Delivery, queue: str, **headers: str | int) -> None:
        if not self._holds(delivery):
            return
        try:
            with self._link.channel() as channel:
                send(channel, delivery.message, DIRECT, queue, **headers)
        except UnroutableError as error:
            self._link.close()  # declares anew
            raise BrokerUnavailableError(f"The queue {queue} is gone.") from error
        self._acknowledge(delivery)

    def _acknowledge(self, delivery: Delivery) -> None:
        if not self._holds(delivery):
            return
        with self._link.channel() as channel:
            channel.basic_ack(_receipt(delivery).tag)

    def _holds(self, delivery: Delivery) -> bool:
        """Whether it came over the connection that there is now; else it is delivered again."""
        return self._link.has(_receipt(delivery).channel)

    def _has_outlived(self, delivery: Delivery) -> bool:
        """Whether it is no danger, as this consumer has had it before and lives."""
        return delivery.message.id == self._last_id and _receipt(delivery).returns >= OUTLIVED


@dataclass(frozen=True, slots=True)
class _Receipt:
    """Over which channel a message came, as what, and how often it has been given back before."""

    channel: Any
    tag: int
    returns: int


def _receipt(delivery: Delivery) -> _Receipt:
    assert isinstance(delivery.receipt, _Receipt)  # noqa: S101 (made by `_on_message`)
    return delivery.receipt
