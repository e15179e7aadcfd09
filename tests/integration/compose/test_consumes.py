"""deploy/consumes.py: whether a queue has a consumer, as the broker says."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pika
import pytest

from deploy.consumes import main
from tests.services import service_url


@pytest.fixture
def channel() -> Iterator[Any]:
    with closing(pika.BlockingConnection(pika.URLParameters(service_url("amqp")))) as connection:
        yield connection.channel()


@pytest.mark.services
def test_a_queue_is_well_while_somebody_consumes_it(channel: Any) -> None:
    queue, environ = f"test-{uuid.uuid4().hex}", {"BROKER_URL": service_url("amqp")}
    assert main([queue], environ) == 1  # there is no such queue
    channel.queue_declare(queue, auto_delete=True)
    assert main([queue], environ) == 1
    consumer = channel.basic_consume(queue, lambda *_: None)
    assert main([queue], environ) == 0
    channel.basic_cancel(consumer)  # and the queue, which nobody needs any more, goes with it
    assert main([queue], environ) == 1


def test_a_broker_that_is_away_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mail"], {"BROKER_URL": "amqp://blog:secret@127.0.0.1:1/"}) == 1
    told = capsys.readouterr().err
    assert told.startswith("mail: ")
    assert "secret" not in told


@pytest.mark.parametrize(("arguments", "environ"), [([], {"BROKER_URL": "amqp://h/"}), (["q"], {})])
def test_wrong_usage_is_told(arguments: list[str], environ: dict[str, str]) -> None:
    assert main(arguments, environ) == 2
