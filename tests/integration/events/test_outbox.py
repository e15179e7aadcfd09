"""The outbox and its relay in SQLite, PostgreSQL and MySQL/MariaDB."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from extracted.chassis import logs
from extracted.chassis.events.envelope import read
from extracted.chassis.events.port import BrokerUnavailableError, Message, UnroutedError
from extracted.chassis.outbox_store import PURGE_AT_ONCE, Backlog
from extracted.chassis.relaying import BATCH, Relay
from tests.integration.events.conftest import eventually
from tests.integration.events.outboxes import Desk, ListPublisher, renamed


@pytest.fixture(scope="module")
def made(database_url: str) -> Iterator[Desk]:
    desk = Desk(database_url)
    yield desk
    desk.engine.dispose()


@pytest.fixture
def desk(made: Desk) -> Desk:
    made.empty()
    made.commits.clear()
    return made


def away(_message: Message) -> None:
    raise BrokerUnavailableError("cut off")


def send_all(relay: Relay) -> int:
    sent = 0
    while more := relay.send_waiting():
        sent += more
    return sent


def test_an_event_is_sent_if_its_transaction_commits_and_only_then(desk: Desk) -> None:
    kept, lost = renamed("kept"), renamed("lost")
    publisher = ListPublisher()
    relay = Relay(desk.store, publisher)
    with Session(desk.engine) as session:
        desk.outbox.record(session, lost)
        session.rollback()
        desk.outbox.record(session, kept)
        assert relay.send_waiting() == 0
        session.commit()
    assert relay.send_waiting() == 1
    assert relay.send_waiting() == 0
    (message,) = publisher.taken
    assert message == kept.message()
    assert read(message.body) == kept


def test_the_relay_is_told_of_commits_and_of_nothing_else(desk: Desk) -> None:
    with Session(desk.engine) as session:
        desk.outbox.record(session, renamed("a"))
        desk.outbox.record(session, renamed("b"))
        assert desk.commits == []
        session.rollback()
        assert desk.commits == []
        desk.outbox.record(session, renamed("c"))
        session.commit()
    assert desk.commits == ["commit"]


def test_an_event_carries_the_ids_of_its_request(desk: Desk) -> None:
    app = Flask(__name__)
    logs.init_app(app)
    trace = f"00-{'a' * 32}-{'b' * 16}-01"

    @app.post("/")
    def view() -> str:
        desk.record(renamed("Mina"))
        return ""

    app.test_client().post("/", headers={"X-Request-ID": "r-1", "traceparent": trace})
    publisher = ListPublisher()
    assert Relay(desk.store, publisher).send_waiting() == 1
    event = read(publisher.taken[0].body)
    assert (event.request_id, event.traceparent) == ("r-1", trace)


def test_events_of_a_key_are_sent_in_order_whatever_their_number(desk: Desk) -> None:
    events = [renamed(f"n{number}", user_id=1 + number % 3) for number in range(2 * BATCH + 7)]
    desk.record(*events)
    publisher = ListPublisher()
    assert send_all(Relay(desk.store, publisher)) == len(events)
    for key in ("user:1", "user:2", "user:3"):
        own = [event.id for event in events if event.key == key]
        assert [message.id for message in publisher.taken if message.key == key] == own


def test_keys_are_under_way_together_and_of_each_key_one_event(desk: Desk) -> None:
    desk.record(*(renamed(f"n{number}", user_id=1 + number % 4) for number in range(BATCH)))
    publisher = ListPublisher()
    assert Relay(desk.store, publisher).send_waiting() == BATCH
    for together in publisher.together:
        keys = [message.key for message in together]
        assert len(keys) == len(set(keys))
    assert len(publisher.together) == -(-BATCH // 4)


def test_a_low_id_that_commits_late_is_not_skipped(desk: Desk) -> None:
    late, early = renamed("late", user_id=1), renamed("early", user_id=2)
    publisher = ListPublisher()
    relay = Relay(desk.store, publisher)
    if desk.engine.dialect.name == "sqlite":
        # It has one writer at a time; only an id that was given by hand can be late.
        desk.record(early)
        assert relay.send_waiting() == 1
        desk.record(late)
        with desk.engine.begin() as connection:
            late_one = desk.table.c.event_id == late.id
            connection.execute(update(desk.table).where(late_one).values(id=-1))
    else:
        with Session(desk.engine) as slow:
            desk.outbox.record(slow, late)
            desk.record(early)
            assert relay.send_waiting() == 1
            slow.commit()
        with desk.engine.connect() as connection:
            by_id = connection.scalars(select(desk.table.c.event_id).order_by(desk.table.c.id))
            assert by_id.all() == [late.id, early.id]
    assert relay.send_waiting() == 1
    assert publisher.ids() == [early.id, late.id]


def test_while_the_broker_is_away_nothing_is_lost_and_what_it_took_is_not_sent_again(
    desk: Desk,
) -> None:
    events = [renamed(f"n{number}") for number in range(5)]
    desk.record(*events)

    def after_two(message: Message) -> None:
        if message.id == events[2].id:
            away(message)

    first = ListPublisher(after_two)
    with pytest.raises(BrokerUnavailableError):
        Relay(desk.store, first).send_waiting()
    assert first.ids() == [event.id for event in events[:2]]
    second = ListPublisher()
    assert send_all(Relay(desk.store, second)) == 3
    assert second.ids() == [event.id for event in events[2:]]


def test_what_was_confirmed_beside_an_event_that_was_not_is_not_sent_again(desk: Desk) -> None:
    events = [renamed(f"n{number}", user_id=1 + number) for number in range(5)]
    desk.record(*events)

    def refuse_the_third(message: Message) -> None:
        if message.id == events[2].id:
            away(message)

    first = ListPublisher(refuse_the_third)
    with pytest.raises(BrokerUnavailableError):
        Relay(desk.store, first).send_waiting()
    second = ListPublisher()
    assert send_all(Relay(desk.store, second)) == 1
    assert second.ids() == [events[2].id]
    assert len(first.ids()) == 4


def test_an_event_that_no_queue_takes_holds_up_its_own_key_alone(desk: Desk) -> None:
    now = 1_000_000.0
    store = type(desk.store)(desk.engine, desk.table, lambda: now)
    stuck, behind, other = renamed("a", 1), renamed("b", 1), renamed("c", 2)
    desk.record(stuck, behind, other)
    nobody = True

    def unrouted(message: Message) -> None:
        if message.key == "user:1" and nobody:
            raise UnroutedError(message.topic)

    publisher = ListPublisher(unrouted)
    relay = Relay(store, publisher)
    assert relay.send_waiting() == 1
    nobody = False
    assert relay.send_waiting() == 0
    now += 60
    assert send_all(relay) == 2
    assert publisher.ids() == [other.id, stuck.id, behind.id]


def test_who_has_a_keys_first_event_has_the_whole_key(desk: Desk) -> None:
    desk.record(renamed("a", 1), renamed("b", 1), renamed("c", 2))
    with desk.store.claim(1) as first:
        assert [each.message.key for each in first.events] == ["user:1"]
        with desk.store.claim(10) as second:
            keys = [each.message.key for each in second.events]
        # In SQLite one relay works at a time.
        assert keys == ([] if desk.engine.dialect.name == "sqlite" else ["user:2"])
    with desk.store.claim(10) as third:
        assert len(third.events) == 3


def test_a_claim_does_not_hold_up_what_is_recorded_meanwhile(desk: Desk) -> None:
    desk.record(renamed("a"))
    with desk.store.claim(10) as claim:
        desk.record(renamed("b"), renamed("c", 99))
        claim.settle([each.place for each in claim.events], [], 0)
    assert desk.store.backlog().events == 2


def test_several_relays_at_once_lose_nothing_and_keep_the_order(desk: Desk) -> None:
    publisher = ListPublisher()
    relays = [Relay(desk.store, publisher, poll_s=0.01) for _ in range(3)]
    events = [renamed(f"n{number}", user_id=1 + number % 5) for number in range(150)]
    for relay in relays:
        relay.start()
    try:
        for start in range(0, len(events), 10):
            desk.record(*events[start : start + 10])
            for relay in relays:
                relay.wake()
        eventually(lambda: desk.store.backlog().events == 0, "all are sent")
    finally:
        for relay in relays:
            relay.stop()
    # None twice here, where nothing was killed.
    assert sorted(publisher.ids()) == sorted(event.id for event in events)
    for user_id in range(1, 6):
        own = [event.id for event in events if event.payload.user_id == user_id]
        assert [each.id for each in publisher.taken if each.key == f"user:{user_id}"] == own
    assert publisher.closed == 3


def test_a_relay_waits_out_the_broker_and_goes_on_by_itself(desk: Desk) -> None:
    is_away = threading.Event()
    is_away.set()

    def maybe(message: Message) -> None:
        if is_away.is_set():
            away(message)

    publisher = ListPublisher(maybe)
    relay = Relay(desk.store, publisher, poll_s=0.01)
    relay.start()
    try:
        desk.record(renamed("a"))
        eventually(lambda: relay.backlog().oldest_s > 0.3, "it has waited a while")
        assert publisher.taken == []
        is_away.clear()
        eventually(lambda: len(publisher.taken) == 1, "it is sent")
    finally:
        relay.stop()


def test_health_is_told_from_memory_what_waits_also_while_the_broker_is_away(desk: Desk) -> None:
    relay = Relay(desk.store, ListPublisher(away), poll_s=0.01)
    desk.record(renamed("a"), renamed("b"))
    assert relay.details() == {"outbox": None}
    relay.start()
    try:
        eventually(lambda: relay.details()["outbox"], "it has looked")
        eventually(lambda: relay.details()["outbox"]["oldest_s"] > 0.3, "it looks again")
        told = relay.details()["outbox"]
        assert told["events"] == 2
        assert told["seen_s"] >= 0
    finally:
        relay.stop()


def test_what_waits_is_forgotten_and_what_was_sent_is_kept(desk: Desk) -> None:
    sent = renamed("sent")
    desk.record(sent)
    assert send_all(Relay(desk.store, ListPublisher())) == 1
    desk.record(*(renamed(f"n{number}", user_id=number) for number in range(1, PURGE_AT_ONCE + 8)))
    assert desk.store.forget() == PURGE_AT_ONCE + 7
    assert desk.store.forget() == 0
    with desk.engine.connect() as connection:
        assert connection.scalars(select(desk.table.c.event_id)).all() == [sent.id]
    behind = renamed("behind")
    desk.record(behind)
    publisher = ListPublisher()
    assert send_all(Relay(desk.store, publisher)) == 1
    assert publisher.ids() == [behind.id]


def test_what_a_relay_has_in_hand_is_sent_before_the_rest_is_forgotten(desk: Desk) -> None:
    in_hand, waiting = renamed("a", 1), renamed("b", 2)
    desk.record(in_hand, waiting)
    with ThreadPoolExecutor(1) as pool:
        with desk.store.claim(1) as claim:
            forgetting = pool.submit(desk.store.forget)
            assert not wait([forgetting], timeout=0.5).done
            claim.settle([each.place for each in claim.events], [], 0)
        assert forgetting.result(30) == 1
    with desk.engine.connect() as connection:
        assert connection.scalars(select(desk.table.c.event_id)).all() == [in_hand.id]


def test_what_was_sent_is_thrown_away_after_its_time_and_what_waits_never(desk: Desk) -> None:
    now = 1_000_000.0
    store = type(desk.store)(desk.engine, desk.table, lambda: now)
    desk.record(renamed("a"), renamed("b"))
    assert send_all(Relay(store, ListPublisher())) == 2
    desk.record(renamed("c"))
    now += 100
    assert store.purge(101) == 0
    assert store.purge(99) == 2
    assert store.purge(0) == 0
    assert store.backlog().events == 1
    desk.empty()
    assert store.backlog() == Backlog(0, 0.0)
