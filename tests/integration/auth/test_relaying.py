"""What the service has told reaches the broker, by the thread that gunicorn's worker starts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from extracted.chassis.events import Subscription, open_broker
from extracted.chassis.events.envelope import read
from extracted.chassis.events.payloads import Person, UserRegistered, UserRenamed
from extracted.chassis.events.port import Consumer
from tests.integration.auth.conftest import Serve, someone
from tests.wire_tools.proxy import until


@pytest.fixture
def consumer(settings: object) -> Iterator[Consumer]:
    made = open_broker(settings.broker_url).consumer(Subscription("copies", ("user.*",)))  # type: ignore[attr-defined]
    assert made.receive(0) is None  # now the queue is there
    yield made
    made.close()


def test_registering_and_renaming_reach_whoever_listens(serve: Serve, consumer: Consumer) -> None:
    service = serve()
    service.app.extensions["start"]()
    token = service.log_in(someone())
    name = {"json": {"name": "Anna"}, "headers": {"Authorization": f"Bearer {token}"}}
    answer = service.client.patch("/users/1", **name)
    received = []
    for _ in range(2):
        delivery = consumer.receive(20)
        assert delivery is not None
        received.append(read(delivery.message.body))
        consumer.done(delivery)
    person = Person(id=1, name="Ann", email="ann@example.org")
    assert [event.payload for event in received] == [
        UserRegistered(user=person),
        UserRenamed(user_id=1, name="Anna"),
    ]
    assert received[1].request_id == answer.headers["X-Request-ID"]
    assert consumer.receive(0.3) is None


def test_health_tells_of_events_that_wait_for_a_broker_that_is_away(serve: Serve) -> None:
    service = serve(broker_url="sqlite:////nonexistent/folder/events.db")
    service.client.post("/register", json=someone())
    assert service.client.get("/health").json["details"] == {"outbox": None}
    service.app.extensions["start"]()

    def told() -> dict[str, float] | None:
        answer = service.client.get("/health")
        assert (answer.status_code, answer.json["status"]) == (200, "ok")
        return answer.json["details"]["outbox"]

    until(told, "the relay has looked", 20)
    assert told()["events"] == 1
