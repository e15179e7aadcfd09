"""Handles the events of one queue, one after the other, until told to stop.

A message leaves the queue when its handler is done and that is noted, never before. What a handler
raises decides: `NotNowError`, and the same event is tried until it works, with everything behind
it waiting; `NeverError`, and it goes to the dead letters; anything else, and it goes to be tried
again after the subscription's growing delays, and to the dead letters after the last. A message
that is no event goes there at once. Where they are full it comes again after the longest delay.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from extracted.chassis.events.envelope import Event, UnreadableEventError, read
from extracted.chassis.events.pace import Outage
from extracted.chassis.events.payloads import BY_TYPE, Payload
from extracted.chassis.events.port import (
    MAX_REASON_CHARS,
    Broker,
    BrokerUnavailableError,
    Consumer,
    Delivery,
    QueueFullError,
    Subscription,
)
from extracted.chassis.tracing import read_trace_id

log = logging.getLogger(__name__)

RECEIVE_S = 0.5

Handler = Callable[[Event[Any]], None]


class NotNowError(Exception):
    """What the handler needs is away, for this event as for any other: a server that is down."""


class NeverError(Exception):
    """No further try of this event would help: a person has to see to it."""


class Memory(Protocol):
    """Knows what is handled; see `processed`. Both may raise NotNowError."""

    def has(self, event_id: str) -> bool:
        """Whether it is handled."""
        ...

    def add(self, event_id: str) -> None:
        """It is handled now."""
        ...


class _StoppedError(Exception):
    """Told to stop while an event was waiting; it stays in the queue."""


def consume(
    broker: Broker,
    subscription: Subscription,
    handlers: Mapping[type[Payload], Handler],
    memory: Memory,
    stop: threading.Event,
) -> None:
    """Handle what comes until `stop` is set; the handler at work is waited for.

    It returns within a second of that and its handler's end. While the broker is away it waits.
    """
    consumer = broker.consumer(subscription)
    worker = _Worker(consumer, subscription, handlers, memory, stop)
    outage = Outage(f"Events of {subscription.queue}")
    try:
        while not stop.is_set():
            try:
                delivery = consumer.receive(RECEIVE_S)
                outage.over()
                if delivery is not None:
                    worker.handle(delivery)
            except BrokerUnavailableError as error:
                consumer.close()  # what was in hand comes again
                stop.wait(outage.wait_s(error))
            except _StoppedError:
                return
    finally:
        consumer.close()


class _Worker:
    def __init__(
        self,
        consumer: Consumer,
        subscription: Subscription,
        handlers: Mapping[type[Payload], Handler],
        memory: Memory,
        stop: threading.Event,
    ) -> None:
        self._consumer = consumer
        self._subscription = subscription
        self._handlers = handlers
        self._memory = memory
        self._stop = stop

    def handle(self, delivery: Delivery) -> None:
        """One message, to its end: done, sent round or buried."""
        try:
            event = read(delivery.message.body, BY_TYPE)
            handler = self._handler_of(event)
        except UnreadableEventError as error:
            self._bury(delivery, str(error), {"event_id": delivery.message.id})
            return
        told = _told(event)
        if self._patiently(delivery, told, lambda: self._memory.has(event.id)):
            log.info("%s was handled before", event.type, extra={"fields": told})
        else:
            try:
                self._patiently(delivery, told, lambda: handler(event))
            except (BrokerUnavailableError, _StoppedError):
                raise
            except NeverError as error:
                self._bury(delivery, str(error), told)
                return
            except Exception as error:  # noqa: BLE001 (a handler may fail in any way)
                self._failed(delivery, error, told)
                return
            self._patiently(delivery, told, lambda: self._memory.add(event.id))
            log.info("%s is handled", event.type, extra={"fields": told})
        self._consumer.done(delivery)

    def _handler_of(self, event: Event[Payload]) -> Handler:
        handler = self._handlers.get(type(event.payload))
        if handler is None:
            raise UnreadableEventError(f"Nothing here handles {event.type} events.")
        return handler

    def _patiently(self, delivery: Delivery, told: dict[str, Any], act: Callable[[], Any]) -> Any:
        """The outcome of `act`, repeated with growing waits for as long as it is not now."""
        outage = Outage(f"Event {told['event_id']}")
        while True:
            try:
                outcome = act()
            except NotNowError as error:
                self._wait(delivery, outage.wait_s(error))
            else:
                outage.over()
                return outcome

    def _wait(self, delivery: Delivery, seconds: float) -> None:
        while seconds > 0:
            if self._stop.is_set():
                raise _StoppedError
            part_s = min(seconds, RECEIVE_S)
            self._consumer.wait(delivery, part_s)
            seconds -= part_s

    def _failed(self, delivery: Delivery, error: Exception, told: dict[str, Any]) -> None:
        failures = delivery.failures + 1
        delay_s = self._subscription.delay_s(failures)
        reason = f"{type(error).__name__}: {error}"
        if delay_s is None:
            self._bury(delivery, reason, told)
            return
        log.warning(
            "%s failed for the %s. time and is tried again in %g s: %s",
            *(told["type"], failures, delay_s, reason[:MAX_REASON_CHARS]),
            extra={"fields": told},
        )
        self._consumer.retry(delivery, delay_s)

    def _bury(self, delivery: Delivery, reason: str, told: dict[str, Any]) -> None:
        log.error(
            "%s goes to the dead letters of %s: %s",
            *(delivery.message.topic, self._subscription.queue, reason[:MAX_REASON_CHARS]),
            extra={"fields": told},
        )
        try:
            self._consumer.bury(delivery, reason)
        except QueueFullError as error:
            self._put_off(delivery, error, told)

    def _put_off(self, delivery: Delivery, error: QueueFullError, told: dict[str, Any]) -> None:
        """What cannot be buried must not hold up the others, nor get lost."""
        delay_s = max(self._subscription.delays_s, default=None)
        if delay_s is None:
            raise error
        log.error(
            "%s has no place among the dead letters of %s, and comes again in %g s: %s",
            *(delivery.message.topic, self._subscription.queue, delay_s, error),
            extra={"fields": told},
        )
        self._consumer.retry(delivery, delay_s)


def _told(event: Event[Payload]) -> dict[str, Any]:
    """What the log says of every step: the event, and the request that it comes from."""
    fields = {
        "event_id": event.id,
        "type": event.type,
        "key": event.key,
        "request_id": event.request_id,
        "trace_id": read_trace_id(event.traceparent or ""),
    }
    return {name: value for name, value in fields.items() if value is not None}
