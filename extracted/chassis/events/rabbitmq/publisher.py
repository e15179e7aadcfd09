"""Publishes to the exchange and waits for the confirm of each message, for all of them together."""

from __future__ import annotations

from collections.abc import Sequence

from extracted.chassis.events.port import BrokerUnavailableError, Message, Outcome
from extracted.chassis.events.rabbitmq.pipeline import Pipeline


class RabbitPublisher:
    """See `port.Publisher`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def publish_all(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """See `port.Publisher`."""
        kept = self._pipeline.is_open
        outcomes = self._pipeline.send(messages)
        if not kept or self._pipeline.is_open:
            return outcomes
        # A connection that was kept since the last event may long have been closed.
        told = list(zip(messages, outcomes, strict=True))
        left = [message for message, outcome in told if _is_lost(outcome)]
        again = iter(self._pipeline.send(left))
        return [next(again) if _is_lost(outcome) else outcome for outcome in outcomes]

    def close(self) -> None:
        """See `port.Publisher`."""
        self._pipeline.close()


def _is_lost(outcome: Outcome) -> bool:
    return isinstance(outcome, BrokerUnavailableError)
