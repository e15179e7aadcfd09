"""The dead letters of one queue in RabbitMQ: looked through one by one, and left where they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import closing
from typing import Any

from pika.exceptions import UnroutableError

from extracted.chassis.events.port import BrokerUnavailableError, DeadLetter, Message
from extracted.chassis.events.rabbitmq.link import Link
from extracted.chassis.events.rabbitmq.topology import (
    DIRECT,
    Names,
    declare_dead,
    letter_of,
    send,
)


class RabbitDeadLetters:
    """See `port.DeadLetters`. Two that look at the same time hide letters from each other."""

    def __init__(self, link: Link, names: Names, queue: str) -> None:
        self._link = link
        self._names = names
        self._queue = queue

    def list(self, limit: int) -> Sequence[DeadLetter]:
        """See `port.DeadLetters`."""
        self._link.open()
        with self._link.channel() as channel, closing(self._through(channel, limit)) as letters:
            return [letter for _, letter in letters]

    def count(self) -> int:
        """See `port.DeadLetters`. Unlike `list`, it hides none from others."""
        self._link.open()
        with self._link.channel() as channel:
            declare_dead(channel, self._names, self._queue)
            return self._there(channel)

    def replay(self, ids: Collection[str] | None) -> int:
        """See `port.DeadLetters`."""
        return self._take(ids, self._put_back)

    def discard(self, ids: Collection[str] | None) -> int:
        """See `port.DeadLetters`."""
        return self._take(ids, lambda channel, message: None)

    def close(self) -> None:
        """See `port.DeadLetters`."""
        self._link.close()

    def _take(self, ids: Collection[str] | None, act: Callable[[Any, Message], None]) -> int:
        taken = 0
        self._link.open()
        with self._link.channel() as channel, closing(self._through(channel, None)) as letters:
            for tag, letter in letters:
                if ids is None or letter.message.id in ids:
                    act(channel, letter.message)
                    channel.basic_ack(tag)
                    taken += 1
        return taken

    def _through(
        self, channel: Any, limit: int | None
    ) -> Generator[tuple[int, DeadLetter], None, None]:
        """The letters there are now. What is not acknowledged goes back to its place at the end."""
        queue = self._names.dead(self._queue)
        declare_dead(channel, self._names, self._queue)
        try:
            there = self._there(channel)
            for _ in range(there if limit is None else min(there, limit)):
                method, properties, body = channel.basic_get(queue)
                if method is None:
                    return
                yield method.delivery_tag, letter_of(properties, body)
        finally:
            if channel.is_open:
                channel.basic_nack(0, multiple=True, requeue=True)

    def _there(self, channel: Any) -> int:
        declared = channel.queue_declare(self._names.dead(self._queue), passive=True)
        return int(declared.method.message_count)

    def _put_back(self, channel: Any, message: Message) -> None:
        try:
            send(channel, message, DIRECT, self._names.queue(self._queue))
        except UnroutableError:
            raise BrokerUnavailableError(
                f"There is no queue {self._queue}: its consumer has never run on this broker."
            ) from None
