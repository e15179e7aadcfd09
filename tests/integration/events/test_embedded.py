"""What is the embedded broker's own: leases by a clock, bounds, and many who open one file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from extracted.chassis.events.embedded import EmbeddedBroker
from extracted.chassis.events.embedded.consumer import EmbeddedConsumer
from extracted.chassis.events.port import DELIVERY_LIMIT, BrokerUnavailableError, QueueFullError
from scripts.processes import ROOT
from tests.integration.events.conftest import DELAYS_S, MAIL, message
from tests.publishing import publish


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """A broker whose time stands still, with room for two messages in a queue."""

    def __init__(self, path: Path, closing: ExitStack) -> None:
        self.clock = Clock()
        self.broker = EmbeddedBroker(path, lease_s=30, max_waiting=2, clock=self.clock)
        self._closing = closing
        self.publisher = self.broker.publisher()
        closing.callback(self.publisher.close)
        self.consumer = self.another()

    def another(self) -> EmbeddedConsumer:
        consumer = self.broker.consumer(MAIL)
        self._closing.callback(consumer.close)
        assert consumer.receive(0) is None
        return consumer


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with ExitStack() as closing:
        yield Desk(tmp_path / "events.db", closing)


def test_a_message_in_hand_is_nobody_elses_until_its_lease_is_over(desk: Desk) -> None:
    other = desk.another()
    publish(desk.publisher, message(1))
    first = desk.consumer.receive(0)
    assert first is not None
    desk.clock.now += 29.9
    assert other.receive(0) is None
    desk.clock.now += 0.2
    again = other.receive(0)
    assert again is not None
    assert again.message == first.message
    desk.consumer.done(first)  # too late
    other.done(again)
    desk.clock.now += 100
    assert desk.consumer.receive(0) is None


def test_consumers_side_by_side_share_keys_and_never_one_key(desk: Desk) -> None:
    other = desk.another()
    publish(desk.publisher, message(1, key="a"))
    publish(desk.publisher, message(2, key="a"))
    first = desk.consumer.receive(0)
    assert first is not None
    assert other.receive(0) is None
    desk.consumer.done(first)
    publish(desk.publisher, message(3, key="b"))
    both = [desk.consumer.receive(0), other.receive(0)]
    assert [each.message.id for each in both if each] == ["id-2", "id-3"]


def test_a_try_comes_when_its_delay_is_over_and_not_before(desk: Desk) -> None:
    publish(desk.publisher, message(1))
    for failures, delay_s in enumerate(DELAYS_S):
        delivery = desk.consumer.receive(0)
        assert delivery is not None
        assert delivery.failures == failures
        desk.consumer.retry(delivery, delay_s)
        desk.clock.now += delay_s - 0.01
        assert desk.consumer.receive(0) is None
        desk.clock.now += 0.02


def test_a_full_queue_refuses_and_says_whose_it_is(desk: Desk) -> None:
    publish(desk.publisher, message(1))
    publish(desk.publisher, message(2))
    with pytest.raises(BrokerUnavailableError, match="queue mail is full with 2 messages"):
        publish(desk.publisher, message(3))
    first = desk.consumer.receive(0)
    assert first is not None
    desk.consumer.done(first)
    publish(desk.publisher, message(3))


def test_full_dead_letters_keep_the_message_in_the_queue(desk: Desk) -> None:
    for number in range(2):
        publish(desk.publisher, message(number))
        delivery = desk.consumer.receive(0)
        assert delivery is not None
        desk.consumer.bury(delivery, "no")
    publish(desk.publisher, message(3))
    third = desk.consumer.receive(0)
    assert third is not None
    with pytest.raises(QueueFullError, match="2 dead letters of the queue mail"):
        desk.consumer.bury(third, "no")
    desk.consumer.close()
    again = desk.consumer.receive(0)
    assert again is not None
    assert again.message.id == "id-3"
    desk.consumer.retry(again, DELAYS_S[-1])
    publish(desk.publisher, message(4, key="another"))
    fourth = desk.consumer.receive(0)
    assert fourth is not None
    assert fourth.message.id == "id-4"


def test_what_kills_its_consumer_holds_up_no_others_when_the_dead_letters_are_full(
    desk: Desk,
) -> None:
    for number in range(2):
        publish(desk.publisher, message(number))
        delivery = desk.consumer.receive(0)
        assert delivery is not None
        desk.consumer.bury(delivery, "no")
    publish(desk.publisher, message(3))
    publish(desk.publisher, message(4, key="another"))
    for _ in range(DELIVERY_LIMIT + 1):
        killing = desk.consumer.receive(0)
        assert killing is not None
        assert killing.message.id == "id-3"
        desk.clock.now += 31
    assert desk.consumer.receive(0) is None
    other = desk.consumer.receive(0)
    assert other is not None
    assert other.message.id == "id-4"
    desk.clock.now += DELAYS_S[-1] + 0.01
    again = desk.consumer.receive(0)
    assert again is not None
    assert again.message.id == "id-3"


def test_what_is_published_again_while_it_waits_is_kept_once(desk: Desk) -> None:
    publish(desk.publisher, message(1))
    publish(desk.publisher, replace(message(1)))
    delivery = desk.consumer.receive(0)
    assert delivery is not None
    desk.consumer.done(delivery)
    assert desk.consumer.receive(0) is None


MAKES_THE_FILE = """
import sys
from pathlib import Path
from extracted.chassis.events.embedded import EmbeddedBroker
from extracted.chassis.events.port import Subscription
sys.stdin.read()
consumer = EmbeddedBroker(Path(sys.argv[1])).consumer(Subscription("mail", ("#",)))
assert consumer.receive(0) is None
consumer.close()
"""


def test_several_processes_may_make_the_file_at_the_same_moment(tmp_path: Path) -> None:
    starting = [
        subprocess.Popen(
            (sys.executable, "-c", MAKES_THE_FILE, str(tmp_path / "events.db")),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for each in starting:  # all stand at the same line and go on when their input ends
        assert each.stdin is not None
        each.stdin.close()
        each.stdin = None
    for each in starting:
        _, told = each.communicate(timeout=60)
        assert each.returncode == 0, told.decode()
