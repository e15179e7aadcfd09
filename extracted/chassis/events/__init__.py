"""Events between services: typed, kept on disk from the outbox to the handler's effect, in order.

`payloads` says what can happen, `outbox` (in the chassis) records it, `relay` publishes it and
`consume` handles it. Which broker is between them is one URL.
"""

from extracted.chassis.events.consuming import NeverError, NotNowError, consume
from extracted.chassis.events.envelope import Event, happened
from extracted.chassis.events.opening import broker_url, open_broker
from extracted.chassis.events.port import Subscription

__all__ = [
    "Event",
    "NeverError",
    "NotNowError",
    "Subscription",
    "broker_url",
    "consume",
    "happened",
    "open_broker",
]
