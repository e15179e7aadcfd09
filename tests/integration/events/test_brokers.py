"""What every broker promises, held against the one in a file and a real RabbitMQ."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import replace

import pytest

from extracted.chassis.events.port import (
    DELIVERY_LIMIT,
    BrokerUnavailableError,
    Consumer,
    Subscription,
    UnroutedError,
)
from tests.integration.events.conftest import (
    DELAYS_S,
    LONG_S,
    MAIL,
    Place,
    empty,
    eventually,
    message,
    open_at,
    received,
    taken,
)
from tests.publishing import publish

POSTS = Subscription("posts", ("user.*", "post.created"), DELAYS_S)


def test_every_queue_that_takes_the_topic_gets_the_message_whole(place: Place) -> None:
    mail, posts = place.consumer(), place.consumer(POSTS)
    assert empty(mail)
    assert empty(posts)
    publisher = place.publisher()
    publish(publisher, message(1))
    publish(publisher, message(2, topic="payment.completed"))
    publish(publisher, message(3, topic="user.renamed"))
    first = received(mail)
    assert first.message == message(1)
    assert first.failures == 0
    mail.done(first)
    assert taken(mail, 1) == ["id-2"]
    assert taken(posts, 2) == ["id-1", "id-3"]
    assert empty(mail)
    assert empty(posts)


def test_a_queue_keeps_what_comes_while_nobody_consumes(place: Place) -> None:
    consumer = place.consumer()
    assert empty(consumer)
    consumer.close()
    publish(place.publisher(), message(1))
    assert taken(place.consumer(), 1) == ["id-1"]


def test_what_no_queue_takes_is_refused_if_somebody_must_get_it(place: Place) -> None:
    publisher = place.publisher()
    with pytest.raises(UnroutedError, match=r"No queue takes post\.created"):
        publish(publisher, message(1))
    assert empty(place.consumer())
    with pytest.raises(UnroutedError):
        publish(publisher, message(2, topic="user.renamed"))
    publish(publisher, message(3))


def test_what_nobody_has_to_get_may_go_unrouted(place: Place) -> None:
    publish(place.publisher(), replace(message(1), mandatory=False))


def test_of_many_published_together_each_has_its_own_outcome(place: Place) -> None:
    consumer = place.consumer()
    assert empty(consumer)
    nobody = [message(3, "c", "user.renamed"), message(7, "g", "user.renamed")]
    told = [message(number, f"k{number}") for number in (1, 2, 4, 5, 8)]
    messages = [*told[:2], nobody[0], *told[2:4], nobody[1], told[4]]
    messages.append(replace(message(9, "i", "user.registered"), mandatory=False))
    publisher = place.publisher()
    outcomes = publisher.publish_all(messages)
    assert [isinstance(outcome, UnroutedError) for outcome in outcomes] == [
        each in nobody for each in messages
    ]
    assert [outcome for outcome in outcomes if outcome] == [outcomes[2], outcomes[5]]
    assert "user.renamed" in str(outcomes[2])
    assert sorted(taken(consumer, 5)) == ["id-1", "id-2", "id-4", "id-5", "id-8"]
    assert empty(consumer)
    assert publisher.publish_all([]) == []


def test_the_messages_of_each_key_come_in_order(place: Place) -> None:
    consumer = place.consumer()
    assert empty(consumer)
    publisher = place.publisher()
    numbers = range(200)
    for number in numbers:
        publish(publisher, message(number, key=f"k{number % 7}"))
    ids = taken(consumer, len(numbers))
    for key in range(7):
        own = [f"id-{number}" for number in numbers if number % 7 == key]
        assert [each for each in ids if each in set(own)] == own


def test_what_is_not_acknowledged_comes_again_at_once_after_a_close(place: Place) -> None:
    consumer = place.consumer()
    assert empty(consumer)
    publish(place.publisher(), message(1))
    received(consumer)
    consumer.close()
    again = received(place.consumer(), timeout_s=10)
    assert (again.message.id, again.failures) == ("id-1", 0)


def test_tries_are_spaced_by_growing_delays_and_counted(place: Place) -> None:
    consumer = place.consumer()
    assert empty(consumer)
    publish(place.publisher(), message(1))
    waits, failures = [], []
    for delay_s in DELAYS_S:
        delivery = received(consumer)
        failures.append(delivery.failures)
        began = time.monotonic()
        consumer.retry(delivery, delay_s)
        again = received(consumer)
        waits.append(time.monotonic() - began)
        assert again.message == message(1)
        consumer.close()  # gives it back, and the next turn receives it anew
    failures.append(received(consumer).failures)
    assert failures == [0, 1, 2]
    # Never early; how late depends on the machine.
    assert all(wait >= delay_s * 0.9 for wait, delay_s in zip(waits, DELAYS_S, strict=True))


def test_later_messages_of_the_key_wait_behind_one_that_is_tried_again(place: Place) -> None:
    consumer = place.consumer()
    assert empty(consumer)
    publisher = place.publisher()
    publish(publisher, message(1, key="a"))
    consumer.retry(received(consumer), DELAYS_S[1])
    for number, key in ((2, "a"), (3, "b"), (4, "a")):
        publish(publisher, message(number, key=key))
    assert taken(consumer, 1) == ["id-3"]
    assert taken(consumer, 3) == ["id-1", "id-2", "id-4"]


def test_a_dead_letter_lets_those_behind_it_pass(place: Place) -> None:
    consumer = place.consumer()
    assert empty(consumer)
    publisher = place.publisher()
    publish(publisher, message(1))
    consumer.retry(received(consumer), DELAYS_S[0])
    publish(publisher, message(2))
    first = received(consumer)
    assert first.message.id == "id-1"
    consumer.bury(first, "ValueError: no such user")
    assert taken(consumer, 1) == ["id-2"]


def test_dead_letters_are_listed_replayed_and_discarded(place: Place) -> None:
    consumer = place.consumer()
    assert empty(consumer)
    publisher = place.publisher()
    for number in range(4):
        publish(publisher, message(number))
        consumer.bury(received(consumer), f"reason {number}")
    letters = place.letters()
    assert letters.count() == 4
    for _ in range(3):  # looking takes nothing away, and keeps the order
        assert [letter.message.id for letter in letters.list(10)] == [f"id-{n}" for n in range(4)]
    assert [letter.message.id for letter in letters.list(2)] == ["id-0", "id-1"]
    second = letters.list(10)[1]
    assert (second.reason, second.failures, second.message.topic, second.message.key) == (
        *("reason 1", 1, "post.created", "k"),
    )
    assert abs(second.died_at.timestamp() - time.time()) < 60

    assert letters.replay({"id-1", "id-99"}) == 1
    again = received(consumer)
    assert (again.message.body, again.failures) == (b"body 1", 0)
    consumer.done(again)
    assert letters.discard({"id-2"}) == 1
    assert letters.replay(None) == 2
    assert taken(consumer, 2) == ["id-0", "id-3"]
    assert letters.list(10) == []
    assert letters.count() == 0
    assert empty(consumer)


def test_a_queue_is_emptied_of_what_waits_of_retries_and_of_dead_letters_and_no_other_is(
    place: Place,
) -> None:
    long = replace(MAIL, delays_s=(DELAYS_S[0], LONG_S))
    mail, posts, publisher = place.consumer(long), place.consumer(POSTS), place.publisher()
    assert empty(mail)
    assert empty(posts)
    publish(publisher, message(1, "a"), message(2, "b"), message(3, "c"), message(4, "d"))
    mail.retry(received(mail), LONG_S)
    mail.bury(received(mail), "ValueError: no such user")
    mail.close()
    contents = place.contents(delays_s=long.delays_s)
    eventually(lambda: contents.count() == 4, "all are counted")
    assert contents.empty() == 4
    assert contents.count() == 0
    assert contents.empty() == 0
    assert place.letters().count() == 0
    again = place.consumer(long)
    assert empty(again)
    publish(publisher, message(5, "a"))
    assert taken(again, 1) == ["id-5"]
    assert taken(posts, 5) == [f"id-{number}" for number in (1, 2, 3, 4, 5)]


def test_a_queue_that_was_never_made_is_empty_and_stays_away(place: Place) -> None:
    contents = place.contents()
    assert contents.count() == 0
    assert contents.empty() == 0
    with pytest.raises(UnroutedError):
        publish(place.publisher(), message(1))


def test_the_answer_of_one_whose_queue_was_emptied_meanwhile_does_no_harm(place: Place) -> None:
    consumer, publisher = place.consumer(), place.publisher()
    assert empty(consumer)
    publish(publisher, message(1), message(2, "b"))
    delivery = received(consumer)
    assert place.contents().empty() >= 1
    consumer.done(delivery)
    assert empty(consumer)
    publish(publisher, message(3))
    assert taken(consumer, 1) == ["id-3"]


def test_a_message_is_kept_by_who_waits_with_it(place: Place) -> None:
    consumer = place.consumer()
    assert empty(consumer)
    publish(place.publisher(), message(1))
    delivery = received(consumer)
    other = place.consumer()
    consumer.wait(delivery, 1.5)  # longer than the test's lease
    assert empty(other)
    consumer.done(delivery)
    consumer.close()
    assert other.receive(1.2) is None


def test_a_message_that_ends_its_consumer_every_time_is_put_aside(place: Place) -> None:
    consumer = place.consumer()
    assert empty(consumer)
    publish(place.publisher(), message(1, key="deadly"))
    publish(place.publisher(), message(2, key="harmless"))
    for _ in range(DELIVERY_LIMIT + 1):
        assert received(consumer).message.id == "id-1"
        _kill(place, consumer)
        consumer = place.consumer()
    assert taken(consumer, 1) == ["id-2"]
    letters = place.letters()
    eventually(lambda: letters.list(10), "it is among the dead letters")
    (letter,) = letters.list(10)
    assert letter.message.id == "id-1"
    assert letter.reason == "Its consumer ended 11 times while it had this in hand."


def _kill(place: Place, consumer: Consumer) -> None:
    """What a killed consumer leaves: a broken connection, or a lease that runs out."""
    if place.kind == "rabbitmq":
        consumer.close()
        return
    with sqlite3.connect(place.url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE waiting SET lease_until_s = 0")
    connection.close()


def test_the_answer_of_one_who_no_longer_holds_the_message_changes_nothing(place: Place) -> None:
    slow = place.consumer()
    assert empty(slow)
    publish(place.publisher(), message(1))
    delivery = received(slow)
    _kill(place, slow)
    other = place.consumer()
    theirs = received(other)
    slow.done(delivery)
    slow.bury(delivery, "too late")
    slow.retry(delivery, DELAYS_S[0])
    assert place.letters().list(10) == []
    other.retry(theirs, DELAYS_S[0])
    again = received(other)
    assert again.failures == 1
    other.done(again)
    assert empty(other)


def test_a_broker_that_cannot_be_reached_says_which_and_comes_back(place: Place) -> None:
    nowhere = (
        "sqlite:////nonexistent/folder/events.db"
        if place.kind == "embedded"
        else "amqp://guest:guest@127.0.0.1:1/"
    )
    told = "/nonexistent/folder" if place.kind == "embedded" else "127.0.0.1:1"
    with pytest.raises(BrokerUnavailableError, match=told):
        publish(place.publisher(nowhere), message(1))
    with pytest.raises(BrokerUnavailableError, match=told):
        place.consumer(MAIL, nowhere).receive(0)
    with (
        closing(open_at(nowhere).contents("mail")) as contents,
        pytest.raises(BrokerUnavailableError, match=told),
    ):
        contents.empty()
