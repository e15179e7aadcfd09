"""Events in writing: read back as they were, by older and by newer code."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from extracted.chassis.events.envelope import MAX_BODY_BYTES, UnreadableEventError, happened, read
from extracted.chassis.events.payloads import (
    BY_TYPE,
    Payload,
    PaymentCompleted,
    Person,
    PostCreated,
    UserRegistered,
    UserRenamed,
)

NOW = datetime(2026, 11, 24, 7, 0, 0, 123000, tzinfo=UTC)
MINA = Person(id=7, name="미나", email="mina@example.org", language="ko")
EXAMPLES: list[Payload] = [
    UserRegistered(user=MINA),
    UserRenamed(user_id=7, name="Mina"),
    PostCreated(post_id=5, title="첫 글", author=MINA),
    PaymentCompleted(payment_id=9, amount=5000, currency="krw", reference="pi_1", payer=MINA),
]


def written(**changes: Any) -> dict[str, Any]:
    """The JSON of an event, with something changed."""
    body: dict[str, Any] = json.loads(happened(EXAMPLES[2], at=NOW).message().body)
    return body | changes


def test_there_is_an_example_of_every_type() -> None:
    assert {payload.TYPE for payload in EXAMPLES} == set(BY_TYPE)


@pytest.mark.parametrize("payload", EXAMPLES, ids=lambda payload: payload.TYPE)
def test_an_event_is_read_as_it_was_written(payload: Payload) -> None:
    event = happened(payload, at=NOW, request_id="r-1", traceparent="00-aa-bb-01")
    message = event.message()
    assert read(message.body) == event
    assert (message.id, message.topic, message.key) == (event.id, payload.TYPE, payload.key)


def test_each_event_has_an_id_of_its_own_and_the_key_of_what_it_tells_of() -> None:
    first, second = happened(EXAMPLES[1]), happened(EXAMPLES[1])
    assert first.id != second.id
    assert first.key == second.key == "user:7" == EXAMPLES[0].key


def test_only_what_nobody_has_to_act_on_may_go_unrouted() -> None:
    free = {payload.TYPE for payload in EXAMPLES if not happened(payload).message().mandatory}
    assert free == {"user.registered"}


def test_what_a_newer_sender_has_added_is_ignored() -> None:
    newer = written(version=3, mood="good")
    newer["payload"] |= {"words": 120}
    newer["payload"]["author"] |= {"pronouns": "she"}
    event = read(json.dumps(newer).encode())
    assert event.version == 3
    assert event.payload == EXAMPLES[2]


def test_what_an_older_sender_did_not_know_has_its_default() -> None:
    class PostCreatedLater(PostCreated, frozen=True, kw_only=True):
        VERSION: ClassVar[int] = 2
        words: int = 0

    old = written()
    del old["payload"]["author"]["language"]
    event = read(json.dumps(old).encode(), {"post.created": PostCreatedLater})
    assert isinstance(event.payload, PostCreatedLater)
    assert (event.version, event.payload.words, event.payload.author.language) == (1, 0, "en")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "no event"),
        (b"\xff", "no event"),
        (b"[]", "no event"),
        (json.dumps(written(type="post.moved")).encode(), "'post.moved' are not known"),
        (json.dumps(written(payload={"post_id": 5})).encode(), "missing required field"),
        (json.dumps(written(payload={"post_id": "5"})).encode(), "Expected `int`"),
        (json.dumps(written(occurred_at="2026-11-24T07:00:00")).encode(), "timezone"),
        (json.dumps(written(id="")).encode(), "no event"),
        (b'{"payload":{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "no event"),
    ],
)
def test_what_is_no_event_says_why(body: bytes, told: str) -> None:
    with pytest.raises(UnreadableEventError, match=told):
        read(body)


def test_a_file_is_no_event() -> None:
    with pytest.raises(ValueError, match=f"{MAX_BODY_BYTES} is the most"):
        happened(UserRenamed(user_id=7, name="x" * MAX_BODY_BYTES)).message()
