"""RabbitMQ behind a line that is cut and mended: relay and consumer go on by themselves."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pika
import pytest

from extracted.chassis.events.consuming import consume
from extracted.chassis.events.envelope import Event
from extracted.chassis.events.payloads import UserRenamed
from extracted.chassis.events.port import DELIVERY_LIMIT, BrokerUnavailableError, QueueFullError
from extracted.chassis.events.processed import Processed
from extracted.chassis.events.rabbitmq.address import Address
from extracted.chassis.events.rabbitmq.pipeline import Pipeline
from extracted.chassis.events.rabbitmq.topology import Names
from extracted.chassis.relaying import BATCH, Relay
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


@pytest.mark.parametrize("cut_after", [0, 30, 600, 2_000, 5_000, 9_000, 15_000])
def test_of_a_batch_that_is_cut_off_all_that_was_confirmed_is_there_and_the_rest_is_sent_again(
    place: Place, line: Line, tmp_path: Path, cut_after: int
) -> None:
    consumer = place.consumer(POSTS)
    assert empty(consumer)
    desk = Desk(f"sqlite:///{tmp_path}/service.db")
    relay = Relay(desk.store, open_at(by(line, place)).publisher())
    events = [renamed(f"n{number}", user_id=1 + number % 20) for number in range(BATCH)]
    desk.record(*events)
    line.cut_after = cut_after
    try:
        while desk.store.backlog().events:
            with suppress(BrokerUnavailableError):
                relay.send_waiting()
        assert line.cut_after is None, "the line was not cut"
    finally:
        relay.end()
        relay.run()  # closes what is open
        desk.engine.dispose()
    ids = []
    while len(set(ids)) < len(events):
        ids += taken(consumer, 1)
    firsts = list(dict.fromkeys(ids))
    for key in {event.key for event in events}:
        own = [event.id for event in events if event.key == key]
        assert [each for each in firsts if each in own] == own


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # nobody says goodbye on this line
def test_a_broker_that_confirms_nothing_is_waited_for_so_long_and_no_longer(
    place: Place, line: Line
) -> None:
    assert empty(place.consumer())
    url, _, namespace = by(line, place).partition("?namespace=")
    pipeline = Pipeline(Address(url), Names(namespace), confirm_s=0.2)
    assert pipeline.send([message(1)]) == [None]
    line.silence()
    outcomes = pipeline.send([message(2), message(3, key="b")])
    assert [str(outcome) for outcome in outcomes] == [
        f"RabbitMQ at 127.0.0.1:{line.port} cannot be used: there was no answer in 0.2 s"
    ] * 2
    assert not pipeline.is_open
    pipeline.close()
    gc.collect()


def test_a_full_queue_refuses_its_own_messages_and_no_others(place: Place) -> None:
    consumer = place.consumer()
    assert empty(consumer)
    with narrow_queue(place) as topic:
        publisher = place.publisher()
        first, second = message(1, "a", topic), message(2, "b", topic)
        outcomes = publisher.publish_all([first, message(3, "c"), second, message(4, "d")])
        assert (outcomes[0], outcomes[1], outcomes[3]) == (None, None, None)
        assert "a queue that takes it is full" in str(outcomes[2])
        assert publisher.publish_all([message(5, "e")]) == [None]
    assert sorted(taken(consumer, 3)) == ["id-3", "id-4", "id-5"]


def test_full_dead_letters_hold_up_no_others(place: Place) -> None:
    consumer = place.consumer()
    assert empty(consumer)
    with narrow_dead_letters(place):
        publisher = place.publisher()
        for number in range(3):
            publish(publisher, message(number, key=str(number)))
        consumer.bury(received(consumer), "no")
        refused = received(consumer)
        with pytest.raises(QueueFullError):
            consumer.bury(refused, "no")
        consumer.retry(refused, MAIL.delays_s[-1])
        assert taken(consumer, 2) == ["id-2", "id-1"]


@contextmanager
def narrow_dead_letters(place: Place) -> Iterator[None]:
    """Room for one dead letter of the queue `mail`, which has to be there."""
    parts = urlsplit(place.url)
    dead = f"{parts.query.removeprefix('namespace=')}.mail.dead"
    connection = pika.BlockingConnection(pika.URLParameters(urlunsplit(parts._replace(query=""))))
    channel = connection.channel()
    channel.queue_delete(dead)
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    channel.queue_declare(dead, durable=True, arguments=arguments)
    try:
        yield
    finally:
        connection.close()


@contextmanager
def narrow_queue(place: Place) -> Iterator[str]:
    """A queue with room for one message; gives the topic that it takes."""
    parts = urlsplit(place.url)
    namespace = parts.query.removeprefix("namespace=")
    exchange, queue = f"{namespace}.events", f"{namespace}.narrow"
    connection = pika.BlockingConnection(pika.URLParameters(urlunsplit(parts._replace(query=""))))
    channel = connection.channel()
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    channel.queue_declare(queue, durable=True, arguments=arguments)
    channel.queue_bind(queue, exchange, "narrow.topic")
    try:
        yield "narrow.topic"
    finally:
        channel.queue_delete(queue)
        connection.close()


def test_pika_is_silent_while_all_goes_well_and_an_outage_is_told_of_once(
    place: Place, line: Line, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert empty(place.consumer(POSTS))
    desk = Desk(f"sqlite:///{tmp_path}/service.db")
    relay = Relay(desk.store, open_at(by(line, place)).publisher(), poll_s=0.02)
    relay.start()
    try:
        desk.record(renamed("a"))
        eventually(lambda: desk.store.backlog().events == 0, "it is sent")
        assert caplog.messages == []
        line.cut()
        desk.record(renamed("b"))
        eventually(lambda: desk.store.backlog().oldest_s > 1, "several tries have failed")
        line.mend()
        eventually(lambda: desk.store.backlog().events == 0, "it is sent")
        eventually(lambda: len(caplog.messages) > 1, "the end of the outage is told of")
    finally:
        relay.stop()
        desk.engine.dispose()
    first, last = caplog.messages
    assert f"Relay: RabbitMQ at 127.0.0.1:{line.port} cannot be used" in first
    assert "Connection refused" in first or "reset" in first or "lost" in first.lower()
    assert last == "Relay: works again"


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


def test_an_event_outlives_any_number_of_lost_connections_with_its_consumer(
    place: Place, line: Line
) -> None:
    consumer = place.consumer(MAIL, by(line, place))
    assert empty(consumer)
    publish(place.publisher(), message(1))
    publish(place.publisher(), message(2))
    for _ in range(2 * DELIVERY_LIMIT):
        delivery = received(consumer)
        assert (delivery.message.id, delivery.failures) == ("id-1", 0)
        line.cut()
        consumer.close()
        line.mend()
    assert taken(consumer, 2) == ["id-1", "id-2"]
    assert place.letters().list(10) == []


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
