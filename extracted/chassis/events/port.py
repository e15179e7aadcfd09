"""What a broker does for the services, whichever it is. Both adapters pass the same tests.

The promises: a message that `publish_all` tells nothing of is on disk in every queue that takes its
topic. It stays there until a consumer says `done`, and comes again when the consumer ends before.
Messages with the same key come in the order they were published in, and while one of them waits
for another try the later ones wait behind it. Only `bury` lets them pass, into the dead letters.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

# 5 s to 1 h, an hour and a quarter in all: what is still failing then needs a person.
DELAYS_S = (5.0, 30.0, 120.0, 600.0, 3600.0)
# How often a message may take its consumer down with it before it is put aside.
DELIVERY_LIMIT = 10
MAX_WAITING = 100_000
MAX_REASON_CHARS = 500
NAME = re.compile(r"[a-z0-9_-]{1,60}")


class BrokerUnavailableError(Exception):
    """The broker cannot be reached or does not take this now; it may have been done in part."""


class QueueFullError(BrokerUnavailableError):
    """There is no room in a queue."""


class UnroutedError(Exception):
    """No queue takes this topic, and the message is one that somebody must get."""

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"No queue takes {topic} events: the service that handles them has never run on this"
            " broker. They wait until it is started once."
        )


# What has become of a message that was published; None: it is where it should be.
Outcome = UnroutedError | BrokerUnavailableError | None


@dataclass(frozen=True, slots=True)
class Message:
    """An event in writing. With `mandatory`, at least one queue has to take it."""

    id: str
    topic: str
    key: str
    body: bytes
    mandatory: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message in the hands of a consumer; `receipt` is the adapter's own.

    `failures` counts the tries that failed before.
    """

    message: Message
    failures: int
    receipt: object


@dataclass(frozen=True, slots=True)
class Subscription:
    """A queue, the topics it takes (AMQP patterns: `*` is one word, `#` any), its retry delays.

    Topics are added to those that the queue has; none is taken away. Raises ValueError.
    """

    queue: str
    topics: tuple[str, ...]
    delays_s: tuple[float, ...] = DELAYS_S

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.queue):
            raise ValueError(
                f"{self.queue!r} is no name for a queue: use up to 60 of a-z, 0-9, _ and -."
            )
        if any(delay_s <= 0 for delay_s in self.delays_s):
            raise ValueError(f"The queue {self.queue} has a retry delay that is not above 0 s.")

    def delay_s(self, failures: int) -> float | None:
        """How long to wait after this many failed tries; None: no more tries."""
        return self.delays_s[failures - 1] if failures <= len(self.delays_s) else None


class Publisher(Protocol):
    """Gives messages to the broker. For one thread at a time."""

    def publish_all(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Wait until each is on disk in every queue that takes its topic; the outcome of each.

        BrokerUnavailableError: some queues may have it. UnroutedError: none has, and one must. One
        message of each key at a time: of two, the second may get where the first does not.
        """
        ...

    def close(self) -> None:
        """Let go of the broker."""
        ...


class Consumer(Protocol):
    """Takes messages from one queue, one at a time. For one thread.

    Every method may raise BrokerUnavailableError; what was in hand is then delivered again. On a
    delivery that is no longer this consumer's, the methods do nothing.
    """

    def receive(self, timeout_s: float) -> Delivery | None:
        """The next message, or None when there was none in this time."""
        ...

    def done(self, delivery: Delivery) -> None:
        """Take the message out of the queue: its effect is on disk."""
        ...

    def retry(self, delivery: Delivery, delay_s: float) -> None:
        """Have it delivered again after one of the subscription's delays, as one failure more."""
        ...

    def bury(self, delivery: Delivery, reason: str) -> None:
        """Put it among the dead letters. QueueFullError: it is still in hand."""
        ...

    def wait(self, delivery: Delivery, seconds: float) -> None:
        """Sleep, and keep the delivery meanwhile."""
        ...

    def close(self) -> None:
        """Give back what is in hand, at once, and let go of the broker."""
        ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was put aside: after how many failed tries, why, and when."""

    message: Message
    failures: int
    reason: str
    died_at: datetime


class DeadLetters(Protocol):
    """What was put aside of one queue. Methods may raise BrokerUnavailableError."""

    def list(self, limit: int) -> Sequence[DeadLetter]:
        """The oldest `limit` of them, oldest first; they stay."""
        ...

    def count(self) -> int:
        """How many there are."""
        ...

    def replay(self, ids: Collection[str] | None) -> int:
        """Put these, or all, into the queue again, as if never tried; the number of them.

        Killed in between, a message may be in both: it has the same id, and is handled once.
        """
        ...

    def discard(self, ids: Collection[str] | None) -> int:
        """Throw these, or all, away; the number of them."""
        ...

    def close(self) -> None:
        """Let go of the broker."""
        ...


class Contents(Protocol):
    """All that a queue keeps: what waits, what is to be tried again, its dead letters.

    A queue that was never made keeps nothing, and is not made. Methods may raise
    BrokerUnavailableError.
    """

    def count(self) -> int:
        """How many events these are; what a consumer has in hand may be left out."""
        ...

    def empty(self) -> int:
        """Throw all away; the number of them. Safe to repeat.

        What a consumer has in hand may be handled still, or come back: stop it first.
        """
        ...

    def close(self) -> None:
        """Let go of the broker."""
        ...


class Broker(Protocol):
    """Where events go. Making one, and what it makes, opens nothing: the first use does."""

    def publisher(self) -> Publisher:
        """Somebody who gives."""
        ...

    def consumer(self, subscription: Subscription) -> Consumer:
        """Somebody who takes; its first `receive` makes the queue."""
        ...

    def dead_letters(self, queue: str) -> DeadLetters:
        """What was put aside of this queue."""
        ...

    def contents(self, queue: str, delays_s: Sequence[float] = DELAYS_S) -> Contents:
        """All that this queue keeps, whose retry delays these are."""
        ...
