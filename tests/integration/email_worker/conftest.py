"""A blog's events on each broker, a mail server, and workers between them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pika
import pytest

from extracted.chassis.events import Event, happened, open_broker
from extracted.chassis.events.payloads import Payload, Person, PostCreated
from extracted.chassis.events.port import DELAYS_S, Broker
from extracted.email_worker.worker import SUBSCRIPTION
from tests.integration.email_worker.servers import Inbox, new_inbox
from tests.publishing import publish
from tests.services import service_url
from tests.wire_tools.proxy import until

FROM = "blog@example.org"


@dataclass
class Site:
    """A broker that has the worker's queue, a mail server that does not listen yet, a folder."""

    broker_url: str
    inbox: Inbox
    folder: Path

    @property
    def broker(self) -> Broker:
        return open_broker(self.broker_url)

    def environment(self) -> dict[str, str]:
        return {
            "BROKER_URL": self.broker_url,
            "SMTP_URL": self.inbox.url,
            "MAIL_FROM": FROM,
            "MEMORY_FILE": str(self.folder / "mailed.db"),
        }

    def publish(self, *events: Event[Payload]) -> None:
        with closing(self.broker.publisher()) as publisher:
            publish(publisher, *(event.message() for event in events))

    def dead_letters(self) -> int:
        with closing(self.broker.dead_letters("mail")) as letters:
            return letters.count()

    def queue_is_empty(self) -> bool:
        """Once no worker runs."""
        with closing(self.broker.consumer(SUBSCRIPTION)) as consumer:
            return consumer.receive(0.2) is None


def posted(post_id: int, email: str = "ann@example.org") -> Event[PostCreated]:
    """A post was created; its title tells its number."""
    author = Person(id=1, name="Ann", email=email)
    return happened(PostCreated(post_id=post_id, title=f"No. {post_id}", author=author))


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.services)])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    if request.param == "embedded":
        yield _with_a_queue(Site(f"sqlite:///{tmp_path}/events.db", new_inbox(), tmp_path))
        return
    server, namespace = service_url("amqp"), f"test-{uuid.uuid4().hex[:12]}"
    try:
        yield _with_a_queue(Site(f"{server}?namespace={namespace}", new_inbox(), tmp_path))
    finally:
        _remove(server, namespace)


def _with_a_queue(site: Site) -> Site:
    assert site.queue_is_empty()
    return site


def _remove(server: str, namespace: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(server))
    channel = connection.channel()
    for end in ("", ".dead", *(f".retry.{round(delay_s * 1000)}" for delay_s in DELAYS_S)):
        channel.queue_delete(f"{namespace}.mail{end}")
    channel.exchange_delete(f"{namespace}.events")
    connection.close()


def eventually(condition: object, what: str) -> None:
    until(condition, what, 40)  # type: ignore[arg-type]
