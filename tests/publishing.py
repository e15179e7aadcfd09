"""Events given to a broker as a test gives them."""

from __future__ import annotations

from extracted.chassis.events.port import Message, Publisher


def publish(publisher: Publisher, *messages: Message) -> None:
    """One after the other, as they may be of one key; raises what becomes of one instead."""
    for message in messages:
        (outcome,) = publisher.publish_all([message])
        if outcome is not None:
            raise outcome
