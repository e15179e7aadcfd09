"""Which request an event comes from."""

from __future__ import annotations

from dataclasses import replace

from extracted.chassis import logs, tracing
from extracted.chassis.events.envelope import Event, P


def with_origin(event: Event[P]) -> Event[P]:
    """The event with the ids of the request being served, where one is and it has none yet."""
    return replace(
        event,
        request_id=event.request_id or logs.request_id(),
        traceparent=event.traceparent or tracing.passed_on().get("traceparent"),
    )
