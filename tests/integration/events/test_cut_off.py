"""RabbitMQ behind a line that is cut and mended: relay and consumer go on by themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from extracted.chassis.events.consuming import consume
from extracted.chassis.events.envelope import Event
from extracted.chassis.events.payloads import UserRenamed
from extracted.chassis.events.port import BrokerUnavailableError
from extracted.chassis.events.processed import Processed
from extracted.chassis.relaying import Relay
from tests.integration.events.conftest import (
    MAIL,
    Place,
    empty,
    eventually,
    message,
    open_at,
    received,
    taken,
)
from tests.integration.events.outboxes import Desk, renamed
from tests.integration.events.program import POSTS
from tests.integration.events.wire import Line, line_to
from tests.publishing import publish

pytestmark = [
    pytest.mark.services,
    pytest.mark.parametrize("place", ["rabbitmq"], indirect=True),
]


@pytest.fixture
def line(place: Place) -> Iterator[Line]:
    parts = urlsplit(place.url)
    with line_to(parts.hostname or "", parts.port or 5672) as made:
        yield made


def by(line: Line, place: Place) -> str:
    """The broker's address at this end of the line."""
    parts = urlsplit(place.url)
    return urlunsplit(parts._replace(netloc=f"guest:guest@127.0.0.1:{line.port}"))


def test_a_publisher_whose_connection_was_lost_meanwhile_notices_nothing(
    place: Place, line: Line
) -> None:
    assert empty(place.consumer())
    publisher = place.publisher(by(line, place))
    publish(publisher, message(1))
    line.cut()
    line.mend()
    publish(publisher, message(2))
    line.cut()
    with pytest.raises(BrokerUnavailableError, match="cannot be used"):
        publish(publisher, message(3))


def test_what_was_in_hand_when_the_line_was_cut_comes_again(place: Place, line: Line) -> None:
    consumer = place.consumer(MAIL, by(line, place))
    assert empty(consumer)
    publish(place.publisher(), message(1))
    delivery = received(consumer)
    line.cut()
    with pytest.raises(BrokerUnavailableError):
        consumer.done(delivery)
    with pytest.raises(BrokerUnavailableError):
        consumer.receive(0.1)
    line.mend()
    consumer.done(delivery)  # no longer this consumer's: nothing happens
    assert taken(consumer, 1) == ["id-1"]


def test_with_the_broker_away_for_a_while_every_event_is_handled_once_and_in_order(
    place: Place, line: Line, tmp_path: Path
) -> None:
    url = by(line, place)
    desk = Desk(f"sqlite:///{tmp_path}/service.db")
    relay = Relay(desk.store, open_at(url).publisher(), poll_s=0.02)
    memory = Processed.in_file(tmp_path / "processed.db", "posts")
    names: list[str] = []
    stop = threading.Event()

    def handle(event: Event[UserRenamed]) -> None:
        names.append(event.payload.name)

    worker = threading.Thread(
        target=consume, args=(open_at(url), POSTS, {UserRenamed: handle}, memory, stop)
    )
    relay.start()
    worker.start()
    try:
        expected = []
        for round_ in range(3):
            before, meanwhile = f"before {round_}", f"meanwhile {round_}"
            expected += [before, meanwhile]
            desk.record(renamed(before))
            eventually(lambda name=before: name in names, f"{before} is handled")
            line.cut()
            desk.record(renamed(meanwhile))
            eventually(lambda: desk.store.backlog().oldest_s > 0.3, "it waits in the outbox")
            assert meanwhile not in names
            line.mend()
            eventually(lambda name=meanwhile: name in names, f"{meanwhile} is handled")
        assert names == expected
    finally:
        stop.set()
        worker.join(15)
        relay.stop()
        memory.close()
        desk.engine.dispose()
    assert not worker.is_alive()
