"""What goes around every payload, and how both are written as JSON and read again.

Pure: the moment and the id are parameters.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

import msgspec

from extracted.chassis.events.payloads import BY_TYPE, Payload
from extracted.chassis.events.port import Message

P = TypeVar("P", bound=Payload)
P_co = TypeVar("P_co", bound=Payload, covariant=True)

# Events are facts, not files; and 64 KiB is the end of MySQL's TEXT.
MAX_BODY_BYTES = 60_000


class UnreadableEventError(Exception):
    """A message is no event that this code understands; trying it again would not help."""


@dataclass(frozen=True, slots=True)
class Event(Generic[P_co]):
    """One thing that happened, once: `id` stays the same however often it is delivered.

    `version` is the version of the payload that the sender wrote. `request_id` and `traceparent`
    are those of the request during which it happened.
    """

    payload: P_co
    id: str
    occurred_at: datetime
    version: int
    key: str
    request_id: str | None = None
    traceparent: str | None = None

    @property
    def type(self) -> str:
        """The type of event, such as `post.created`."""
        return self.payload.TYPE

    def message(self) -> Message:
        """The event as a broker carries it. Raises ValueError when it is too large for that."""
        written = _Written(
            id=self.id,
            type=self.type,
            version=self.version,
            occurred_at=self.occurred_at,
            key=self.key,
            request_id=self.request_id,
            traceparent=self.traceparent,
            payload=msgspec.Raw(msgspec.json.encode(self.payload)),
        )
        body = msgspec.json.encode(written)
        if len(body) > MAX_BODY_BYTES:
            raise ValueError(
                f"The event {self.type} for {self.key} has {len(body)} bytes, and {MAX_BODY_BYTES}"
                " is the most: put what is large elsewhere, and its address into the event."
            )
        return Message(self.id, self.type, self.key, body, mandatory=self.payload.AWAITED)


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON object. What others have added to it since is ignored."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=36)]
    type: str
    version: Annotated[int, msgspec.Meta(ge=1)]
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)]
    key: Annotated[str, msgspec.Meta(max_length=200)]
    payload: msgspec.Raw
    request_id: str | None = None
    traceparent: str | None = None


def happened(
    payload: P,
    *,
    at: datetime | None = None,
    event_id: str | None = None,
    request_id: str | None = None,
    traceparent: str | None = None,
) -> Event[P]:
    """Make the event of something that has happened: now, and under a new id, unless told."""
    return Event(
        payload,
        event_id or str(uuid.uuid4()),
        at or datetime.now(UTC),
        payload.VERSION,
        payload.key,
        request_id,
        traceparent,
    )


def read(body: bytes, types: Mapping[str, type[Payload]] = BY_TYPE) -> Event[Payload]:
    """The event in a message's body. Raises UnreadableEventError, which says what is wrong."""
    try:
        written = msgspec.json.decode(body, type=_Written)
        payload_type = types.get(written.type)
        if payload_type is None:
            raise UnreadableEventError(
                f"Events of type {written.type!r} are not known here; known are"
                f" {', '.join(sorted(types))}."
            )
        payload = msgspec.json.decode(written.payload, type=payload_type)
    except (msgspec.MsgspecError, RecursionError) as error:  # the latter: nested too deeply
        raise UnreadableEventError(f"This is no event as it should be: {error}") from error
    return Event(
        payload,
        written.id,
        written.occurred_at,
        written.version,
        written.key,
        written.request_id,
        written.traceparent,
    )
