"""All that one queue keeps in RabbitMQ: in its delay queues, in itself, and in its dead letters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pika.exceptions import ChannelClosedByBroker

from extracted.chassis.events.rabbitmq.link import Link
from extracted.chassis.events.rabbitmq.topology import Names

NOT_FOUND = 404  # AMQP 0-9-1, 1.4
# What a delay queue is handing on is in no queue's count, and no purge reaches it: some
# milliseconds, until the next queue has it.
HANDED_ON_S = 0.5


class RabbitContents:
    """See `port.Contents`. What is in hand is neither counted nor thrown away."""

    def __init__(self, link: Link, names: Names, queue: str, delays_s: Sequence[float]) -> None:
        self._link = link
        self._delays = [names.retry(queue, delay_s) for delay_s in delays_s]
        self._itself = (names.queue(queue), names.dead(queue))

    def count(self) -> int:
        """See `port.Contents`."""
        return self._over(
            (*self._delays, *self._itself),
            lambda channel, name: channel.queue_declare(name, passive=True),
        )

    def empty(self) -> int:
        """See `port.Contents`. Along the way that messages take, so that none slips past."""
        thrown = self._over(self._delays, _purge)
        self._link.open()
        self._link.sleep(HANDED_ON_S)
        return thrown + self._over(self._itself, _purge)

    def close(self) -> None:
        """See `port.Contents`."""
        self._link.close()

    def _over(self, queues: Sequence[str], ask: Callable[[Any, str], Any]) -> int:
        return sum(self._asked(name, ask) for name in queues)

    def _asked(self, name: str, ask: Callable[[Any, str], Any]) -> int:
        """The number of messages in the answer; none where there is no such queue."""
        self._link.open()  # anew, behind a queue that is not there: its answer ends the channel
        with self._link.channel() as channel:
            try:
                return int(ask(channel, name).method.message_count)
            except ChannelClosedByBroker as error:
                if error.reply_code != NOT_FOUND:
                    raise
                return 0


def _purge(channel: Any, name: str) -> Any:
    return channel.queue_purge(name)
