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
    if text.startswith("sqlite:///") and len(text) > len("sqlite:///"):
        return text
    if _is_amqp(text):
        return text
    raise ValueError(
        "is no broker's address; write amqp://user:password@host:5672/ for RabbitMQ, with options"
        " that pika has, or sqlite:////folder/events.db for the queue in a file"
    )


def _is_amqp(text: str) -> bool:
    try:
        parts = urlsplit(text)
        if parts.scheme not in {"amqp", "amqps"} or not parts.hostname:
            return False
        from extracted.chassis.events.rabbitmq import place

        place(text)
    except (ValueError, SyntaxError):  # of the port, or of one of pika's options
        return False
    return True
