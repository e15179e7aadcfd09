"""What is decided without a broker: topics, lanes, waits, names, addresses."""

from __future__ import annotations

import logging
import random

import pytest

from extracted.chassis.events.embedded import EmbeddedBroker
from extracted.chassis.events.lanes import LATE_S, Lanes
from extracted.chassis.events.opening import broker_url, open_broker
from extracted.chassis.events.pace import LONGEST_S, Outage
from extracted.chassis.events.port import DELAYS_S, Subscription
from extracted.chassis.events.rabbitmq import RabbitBroker
from extracted.chassis.events.topics import takes


@pytest.mark.parametrize(
    ("pattern", "topic", "taken"),
    [
        ("post.created", "post.created", True),
        ("post.created", "post.createdx", False),
        ("post.*", "post.created", True),
        ("post.*", "post", False),
        ("post.*", "post.created.late", False),
        ("*.created", "post.created", True),
        ("post.#", "post", True),
        ("post.#", "post.created.late", True),
        ("#.late", "post.created.late", True),
        ("#.created.#", "post.created", True),
        ("#", "anything.at.all", True),
        ("*", "a.b", False),
    ],
)
def test_patterns_take_topics_as_amqp_says(pattern: str, topic: str, taken: bool) -> None:
    assert takes(pattern, topic) is taken


class Now:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_later_messages_of_a_key_wait_behind_one_that_is_tried_again() -> None:
    now = Now()
    lanes = Lanes(now)
    assert lanes.wait_s("k", "1", DELAYS_S) is None
    lanes.leaves("k", "1", 30.0)
    assert lanes.wait_s("k", "2", DELAYS_S) == 30.0
    assert lanes.wait_s("other", "3", DELAYS_S) is None
    lanes.leaves("k", "2", 30.0)
    now.now = 26.0  # 4 s to go, less than the shortest delay
    assert lanes.wait_s("k", "4", DELAYS_S) == 5.0
    lanes.leaves("k", "4", 5.0)
    assert lanes.wait_s("k", "1", DELAYS_S) is None
    lanes.ends("k", "1")
    assert lanes.wait_s("k", "4", DELAYS_S) == 5.0  # 2 is before it
    assert lanes.wait_s("k", "2", DELAYS_S) is None
    lanes.ends("k", "2")
    lanes.ends("k", "4")
    assert lanes.wait_s("k", "5", DELAYS_S) is None


def test_a_message_that_never_comes_back_does_not_hold_up_its_key_for_ever() -> None:
    now = Now()
    lanes = Lanes(now)
    lanes.leaves("k", "1", 5.0)
    now.now = 5.0 + LATE_S
    assert lanes.wait_s("k", "2", DELAYS_S) == 5.0
    now.now += 1
    assert lanes.wait_s("k", "2", DELAYS_S) is None


def test_what_is_remembered_has_a_bound_and_passing_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lanes = Lanes(Now(), max_ids=2)
    lanes.leaves("k", "1", 5.0)
    lanes.leaves("k", "2", 5.0)
    assert lanes.wait_s("k", "3", DELAYS_S) is None
    assert "3 passes an earlier event of k" in caplog.text
    assert lanes.wait_s("k", "2", DELAYS_S) == 5.0
    lanes.ends("k", "1")
    assert lanes.wait_s("k", "3", DELAYS_S) == 5.0


def test_the_retry_delays_grow_and_end() -> None:
    subscription = Subscription("mail", ("post.created",), (1.0, 2.0))
    assert [subscription.delay_s(failures) for failures in (1, 2, 3)] == [1.0, 2.0, None]
    assert list(DELAYS_S) == sorted(DELAYS_S)


@pytest.mark.parametrize("queue", ["", "mail.dead", "Mail", "m" * 61, "mail\n"])
def test_a_queue_has_a_name_that_cannot_be_taken_for_anothers(queue: str) -> None:
    with pytest.raises(ValueError, match="no name for a queue"):
        Subscription(queue, ())


def test_a_delay_is_above_nothing() -> None:
    with pytest.raises(ValueError, match="retry delay"):
        Subscription("mail", (), (0.0,))


def test_waits_grow_to_their_bound_and_an_outage_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    outage = Outage("Relay", random.Random(1))
    waits = [outage.wait_s(OSError("away")) for _ in range(20)]
    assert 0.1 <= waits[0] <= 0.2
    assert waits[5] > waits[0]
    assert all(LONGEST_S / 2 <= wait <= LONGEST_S for wait in waits[10:])
    outage.over()
    outage.over()
    assert [record.getMessage() for record in caplog.records] == [
        "Relay: away Nothing is lost; trying again.",
        "Relay: works again",
    ]
    assert outage.wait_s(OSError("away")) <= 0.2


def test_the_address_chooses_the_broker() -> None:
    assert isinstance(open_broker("amqp://guest:guest@127.0.0.1:5672/"), RabbitBroker)
    assert isinstance(open_broker("sqlite:////tmp/events.db"), EmbeddedBroker)


@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///", "kafka://h", "amqp:///secret"])
def test_another_address_is_refused_without_being_printed(url: str) -> None:
    with pytest.raises(ValueError, match="is no broker's address") as caught:
        broker_url(url)
    assert "secret" not in str(caught.value)
