"""A broker in one SQLite file, shared by any number of processes of one machine.

It keeps what `port` promises. A message in hand is leased: if its consumer is killed, it comes
again when the lease is over, 30 s by default, and the others of its key wait until then. So a
handler has to be done within the lease, or another consumer may begin with the same message. Leases
go by the wall clock, because they have to outlive processes; a clock set back makes them longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from extracted.chassis.events.embedded.consumer import EmbeddedConsumer
from extracted.chassis.events.embedded.contents import EmbeddedContents
from extracted.chassis.events.embedded.dead import EmbeddedDeadLetters
from extracted.chassis.events.embedded.file import EventFile
from extracted.chassis.events.embedded.publisher import EmbeddedPublisher
from extracted.chassis.events.port import DELAYS_S, MAX_WAITING, Subscription

LEASE_S = 30.0


class EmbeddedBroker:
    """See `port.Broker`. No queue holds more than `max_waiting` messages, nor as many dead ones."""

    def __init__(
        self,
        path: Path,
        *,
        lease_s: float = LEASE_S,
        max_waiting: int = MAX_WAITING,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._lease_s = lease_s
        self._max_waiting = max_waiting
        self._clock = clock

    def publisher(self) -> EmbeddedPublisher:
        """See `port.Broker`."""
        return EmbeddedPublisher(EventFile(self._path), self._max_waiting)

    def consumer(self, subscription: Subscription) -> EmbeddedConsumer:
        """See `port.Broker`."""
        return EmbeddedConsumer(
            EventFile(self._path), subscription, self._lease_s, self._max_waiting, self._clock
        )

    def dead_letters(self, queue: str) -> EmbeddedDeadLetters:
        """See `port.Broker`."""
        return EmbeddedDeadLetters(EventFile(self._path), queue, self._max_waiting)

    def contents(self, queue: str, delays_s: Sequence[float] = DELAYS_S) -> EmbeddedContents:
        """See `port.Broker`. What is to be tried again waits where it was."""
        return EmbeddedContents(EventFile(self._path), queue)
