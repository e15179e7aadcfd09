"""Which broker BROKER_URL names. Opens nothing."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from extracted.chassis.events.port import Broker


def open_broker(url: str) -> Broker:
    """The broker at amqp://… or in the file of sqlite:///…; what it needs is imported only now.

    Raises ValueError as `broker_url` does.
    """
    url = broker_url(url)
    if url.startswith("sqlite:"):
        from extracted.chassis.events.embedded import EmbeddedBroker

        return EmbeddedBroker(Path(unquote(url.removeprefix("sqlite:///"))))
    from extracted.chassis.events.rabbitmq import RabbitBroker

    return RabbitBroker(url)


def broker_url(text: str) -> str:
    """An address of a broker, for settings. Raises ValueError, without what may be a password."""
    parts = urlsplit(text)
    if parts.scheme in {"amqp", "amqps"} and parts.hostname:
        return text
    if text.startswith("sqlite:///") and len(text) > len("sqlite:///"):
        return text
    raise ValueError(
        "is no broker's address; write amqp://user:password@host:5672/ for RabbitMQ or"
        " sqlite:////folder/events.db for the queue in a file"
    )
