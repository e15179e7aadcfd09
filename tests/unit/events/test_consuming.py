"""What happens to a message by what its handler does, on a consumer that keeps a diary."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from extracted.chassis.events.consuming import NeverError, NotNowError, consume
from extracted.chassis.events.envelope import Event, happened
from extracted.chassis.events.payloads import Person, UserRegistered, UserRenamed
from extracted.chassis.events.port import (
    BrokerUnavailableError,
    Delivery,
    Message,
    Publisher,
    QueueFullError,
    Subscription,
)

SUBSCRIPTION = Subscription("posts", ("user.renamed",), (5.0, 30.0))


def renamed(name: str) -> Message:
    return happened(UserRenamed(user_id=7, name=name)).message()


@dataclass
class DiaryConsumer:
    """Gives what it was given, then tells `stop`; writes down what it is told."""

    stop: threading.Event
    messages: deque[Delivery | Exception]
    diary: list[Any] = field(default_factory=list)
    full: QueueFullError | None = None

    def receive(self, timeout_s: float) -> Delivery | None:
        if not self.messages:
            self.stop.set()
            return None
        given = self.messages.popleft()
        if isinstance(given, Exception):
            raise given
        return given

    def done(self, delivery: Delivery) -> None:
        self.diary.append("done")

    def retry(self, delivery: Delivery, delay_s: float) -> None:
        self.diary.append(("retry", delay_s))

    def bury(self, delivery: Delivery, reason: str) -> None:
        if self.full is not None:
            raise self.full
        self.diary.append(("bury", reason))

    def wait(self, delivery: Delivery, seconds: float) -> None:
        self.diary.append("wait")

    def close(self) -> None:
        self.diary.append("close")


@dataclass
class OneConsumer:
    """A broker with this consumer."""

    made: DiaryConsumer

    def consumer(self, subscription: Subscription) -> DiaryConsumer:
        return self.made

    def publisher(self) -> Publisher:
        raise NotImplementedError

    def dead_letters(self, queue: str) -> Any:
        raise NotImplementedError

    def contents(self, queue: str, delays_s: Sequence[float] = ()) -> Any:
        raise NotImplementedError


@dataclass
class Notebook:
    """Remembers ids, in the same diary."""

    diary: list[Any]
    ids: set[str] = field(default_factory=set)

    def has(self, event_id: str) -> bool:
        return event_id in self.ids

    def add(self, event_id: str) -> None:
        self.diary.append("noted")
        self.ids.add(event_id)


class Desk:
    """Runs `consume` over the messages given and shows the diary."""

    def __init__(self, *messages: Message | Exception, failures: int = 0) -> None:
        self.stop = threading.Event()
        given = deque(
            each if isinstance(each, Exception) else Delivery(each, failures, None)
            for each in messages
        )
        self.consumer = DiaryConsumer(self.stop, given)
        self.notebook = Notebook(self.consumer.diary)

    def handle(self, handler: Callable[[Event[UserRenamed]], None]) -> list[Any]:
        consume(
            OneConsumer(self.consumer),
            SUBSCRIPTION,
            {UserRenamed: handler},
            self.notebook,
            self.stop,
        )
        return self.consumer.diary


def fails(_event: object) -> None:
    raise ValueError("no such user")


def test_a_message_is_acknowledged_after_its_effect_and_the_note_of_it() -> None:
    desk = Desk(renamed("Mina"))
    diary = desk.handle(lambda event: desk.consumer.diary.append(event.payload.name))
    assert diary == ["Mina", "noted", "done", "close"]


def test_a_message_that_comes_twice_is_handled_once() -> None:
    message = renamed("Mina")
    desk = Desk(message, message)
    diary = desk.handle(lambda event: desk.consumer.diary.append(event.payload.name))
    assert diary == ["Mina", "noted", "done", "done", "close"]


def test_what_fails_is_tried_again_after_growing_delays_and_then_buried() -> None:
    assert Desk(renamed("Mina")).handle(fails) == [("retry", 5.0), "close"]
    assert Desk(renamed("Mina"), failures=1).handle(fails) == [("retry", 30.0), "close"]
    assert Desk(renamed("Mina"), failures=2).handle(fails) == [
        ("bury", "ValueError: no such user"),
        "close",
    ]


def test_what_no_further_try_would_help_is_buried_at_once() -> None:
    def refuses(_event: object) -> None:
        raise NeverError("550 no such user")

    assert Desk(renamed("Mina")).handle(refuses) == [("bury", "550 no such user"), "close"]


def test_without_room_among_the_dead_letters_it_comes_again_and_the_next_is_handled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuses(event: Event[UserRenamed]) -> None:
        if event.payload.name == "first":
            raise NeverError("550 no such user")

    desk = Desk(renamed("first"), renamed("second"))
    desk.consumer.full = QueueFullError("5 dead letters are waiting for a person")
    assert desk.handle(refuses) == [("retry", 30.0), "noted", "done", "close"]
    assert "comes again in 30 s: 5 dead letters are waiting for a person" in caplog.text


def test_while_what_the_handler_needs_is_away_the_message_is_kept_and_the_next_waits() -> None:
    desk = Desk(renamed("first"), renamed("second"))
    left = [NotNowError("SMTP is down")] * 3

    def handler(event: Event[UserRenamed]) -> None:
        if left:
            raise left.pop()
        desk.consumer.diary.append(event.payload.name)

    diary = [entry for entry in desk.handle(handler) if entry != "wait"]
    assert diary == ["first", "noted", "done", "second", "noted", "done", "close"]


def test_a_note_that_cannot_be_made_now_is_no_reason_for_a_second_effect() -> None:
    desk = Desk(renamed("Mina"))
    add, effects = desk.notebook.add, []
    left = [NotNowError("the database is down")] * 2

    class Forgetful(Notebook):
        def add(self, event_id: str) -> None:
            if left:
                raise left.pop()
            add(event_id)

    desk.notebook = Forgetful(desk.consumer.diary)
    diary = desk.handle(lambda event: effects.append(event.id))
    assert len(effects) == 1
    assert [entry for entry in diary if entry != "wait"] == ["noted", "done", "close"]


def test_told_to_stop_while_waiting_it_leaves_the_message_in_the_queue() -> None:
    desk = Desk(renamed("Mina"))

    def handler(_event: object) -> None:
        desk.stop.set()
        raise NotNowError("SMTP is down")

    assert desk.handle(handler) == ["close"]


def test_what_cannot_be_read_or_has_no_handler_is_buried_at_once() -> None:
    unreadable = Message("id-1", "user.renamed", "user:7", b"{}")
    person = Person(id=7, name="Mina", email="mina@example.org")
    unhandled = happened(UserRegistered(user=person)).message()
    diary = Desk(unreadable, unhandled).handle(fails)
    assert [entry[0] for entry in diary[:2]] == ["bury", "bury"]
    assert "no event as it should be" in diary[0][1]
    assert "Nothing here handles user.registered" in diary[1][1]


def test_the_broker_away_is_waited_for_and_what_was_in_hand_given_back() -> None:
    desk = Desk(BrokerUnavailableError("cut off"), renamed("Mina"))
    diary = desk.handle(lambda event: None)
    assert diary == ["close", "noted", "done", "close"]
