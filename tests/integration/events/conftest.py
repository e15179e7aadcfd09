"""The two brokers, each empty and of the test's own, and what consumers are run with."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pika
import pytest

from extracted.chassis.events.embedded import EmbeddedBroker
from extracted.chassis.events.opening import open_broker
from extracted.chassis.events.port import (
    Broker,
    Consumer,
    Contents,
    DeadLetters,
    Delivery,
    Message,
    Publisher,
    Subscription,
)
from tests.services import service_url
from tests.wire_tools.proxy import until

# Short, so that tests are quick; far enough apart to tell them from each other.
DELAYS_S = (0.2, 0.6)
# Longer than any test.
LONG_S = 600.0
LEASE_S = 1.0
MAIL = Subscription("mail", ("post.created", "payment.*"), DELAYS_S)


@dataclass
class Place:
    """A broker of the test's own. What is made here is closed with it."""

    kind: str
    url: str
    closing: ExitStack

    @property
    def broker(self) -> Broker:
        """As the test's own processes open it."""
        return open_at(self.url)

    def publisher(self, url: str | None = None) -> Publisher:
        made = open_at(url or self.url).publisher()
        self.closing.callback(made.close)
        return made

    def consumer(self, subscription: Subscription = MAIL, url: str | None = None) -> Consumer:
        made = open_at(url or self.url).consumer(subscription)
        self.closing.callback(made.close)
        return made

    def letters(self, queue: str = "mail") -> DeadLetters:
        made = self.broker.dead_letters(queue)
        self.closing.callback(made.close)
        return made

    def contents(self, queue: str = "mail", delays_s: Sequence[float] = DELAYS_S) -> Contents:
        made = self.broker.contents(queue, delays_s)
        self.closing.callback(made.close)
        return made


def open_at(url: str) -> Broker:
    """The broker there; the embedded one with a short lease."""
    if url.startswith("sqlite:"):
        return EmbeddedBroker(Path(url.removeprefix("sqlite:///")), lease_s=LEASE_S)
    return open_broker(url)


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.services)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "embedded":
        with ExitStack() as closing:
            yield Place("embedded", f"sqlite:///{tmp_path}/events.db", closing)
        return
    server = service_url("amqp")
    namespace = f"test-{uuid.uuid4().hex[:12]}"
    try:
        with ExitStack() as closing:
            yield Place("rabbitmq", f"{server}?namespace={namespace}", closing)
    finally:
        _remove(server, namespace)


def _remove(server: str, namespace: str) -> None:
    """The queues that tests make, and the exchange. What is not there does no harm."""
    connection = pika.BlockingConnection(pika.URLParameters(server))
    channel = connection.channel()
    waits = [f".retry.{round(delay_s * 1000)}" for delay_s in (*DELAYS_S, LONG_S)]
    for queue in ("mail", "posts"):
        for end in ("", ".dead", *waits):
            channel.queue_delete(f"{namespace}.{queue}{end}")
    channel.exchange_delete(f"{namespace}.events")
    connection.close()


def message(number: int, key: str = "k", topic: str = "post.created") -> Message:
    """A message that can be told from others."""
    return Message(f"id-{number}", topic, key, f"body {number}".encode(), mandatory=True)


def received(consumer: Consumer, timeout_s: float = 10.0) -> Delivery:
    """The next message, or the test fails."""
    delivery = consumer.receive(timeout_s)
    assert delivery is not None, f"nothing came in {timeout_s:g} s"
    return delivery


def taken(consumer: Consumer, count: int) -> list[str]:
    """The ids of the next so many, each acknowledged."""
    ids = []
    for _ in range(count):
        delivery = received(consumer)
        consumer.done(delivery)
        ids.append(delivery.message.id)
    return ids


def empty(consumer: Consumer) -> bool:
    """Whether nothing comes for a moment."""
    return consumer.receive(0.1) is None


def eventually(condition: Callable[[], object], what: str) -> None:
    until(condition, what, 40)
