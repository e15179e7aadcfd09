"""Messages under way to RabbitMQ side by side, each with a confirm of its own.

pika has this in its asynchronous connections alone. The loop of one runs here while somebody waits
for an answer, and not in between: there is no thread, and every wait has a bound.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pika
from pika.exceptions import AMQPError

from extracted.chassis.events.port import BrokerUnavailableError, Message, Outcome, UnroutedError
from extracted.chassis.events.rabbitmq.address import BLOCKED_S, CONNECT_S, Address
from extracted.chassis.events.rabbitmq.topology import Names, declare_exchange, send

OPEN_S = 3 * CONNECT_S
# RabbitMQ gives none while a queue has no majority of its nodes.
CONFIRM_S = 1.5 * BLOCKED_S
CLOSE_S = 2.0


class Pipeline:
    """One connection, made when it is first needed; let go at any trouble. For one thread."""

    def __init__(self, address: Address, names: Names, confirm_s: float = CONFIRM_S) -> None:
        self._address = address
        self._names = names
        self._confirm_s = confirm_s
        self._loop: Any = None
        self._connection: Any = None
        self._channel: Any = None
        self._trouble: BaseException | None = None
        self._last_tag = 0
        self._under_way: dict[int, Message] = {}
        self._outcomes: dict[str, Outcome] = {}

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as is known without asking."""
        return self._channel is not None and self._channel.is_open

    def send(self, messages: Sequence[Message]) -> list[Outcome]:
        """Send all, wait for the confirm of each, and give the outcome of each."""
        unconfirmed = self._address.lost()
        self._outcomes.clear()
        try:
            self._open()
            for message in messages:
                self._under_way[self._last_tag + 1] = message
                send(self._channel, message, self._names.exchange, message.topic)
                self._last_tag += 1
            if messages:
                self._run(self._confirm_s)
        except BrokerUnavailableError as error:
            unconfirmed = error
        except (AMQPError, OSError) as error:
            self.close()
            unconfirmed = self._address.unusable(error)
        return [self._outcomes.get(message.id, unconfirmed) for message in messages]

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            with suppress(AMQPError, OSError):
                self._finish_closing()
            self._loop.close()
        self._loop = self._connection = self._channel = self._trouble = None
        self._last_tag = 0
        self._under_way.clear()

    def _finish_closing(self) -> None:
        """Say goodbye, and wait for the answer; who gives none is left to itself."""
        if not (self._connection.is_closing or self._connection.is_closed):
            self._connection.close()
        give_up = time.monotonic() + CLOSE_S
        self._loop.call_later(CLOSE_S, self._loop.stop)
        while not self._connection.is_closed and time.monotonic() < give_up:
            self._loop.start()

    def _open(self) -> None:
        if self.is_open:
            return
        self.close()
        self._connection = pika.SelectConnection(
            self._address.parameters,
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._begin),
            on_open_error_callback=self._end,
            on_close_callback=self._end,
        )
        self._loop = self._connection.ioloop
        self._run(OPEN_S)

    def _run(self, seconds: float) -> None:
        """Let pika work until `_end` is called. Raises BrokerUnavailableError."""
        silence = TimeoutError(f"there was no answer in {seconds:g} s")
        timer = self._loop.call_later(seconds, lambda: self._end(None, silence))
        self._loop.start()
        self._loop.remove_timeout(timer)
        if self._trouble is not None:
            error = self._address.unusable(self._trouble)
            self.close()
            raise error

    def _end(self, _of: Any, trouble: BaseException | None = None) -> None:
        self._trouble = self._trouble or trouble
        self._loop.stop()

    def _begin(self, channel: Any) -> None:
        channel.add_on_close_callback(self._end)
        channel.add_on_return_callback(self._on_return)
        declare_exchange(channel, self._names)
        channel.confirm_delivery(self._on_confirm, callback=self._end)
        self._channel = channel

    def _on_return(self, _channel: Any, _method: Any, properties: Any, _body: bytes) -> None:
        """No queue takes it; this comes before its confirm."""
        self._outcomes[properties.message_id] = UnroutedError(properties.type)

    def _on_confirm(self, frame: Any) -> None:
        confirm = frame.method
        refused = self._address.refuses() if confirm.NAME == "Basic.Nack" else None
        tags = [each for each in self._under_way if each <= confirm.delivery_tag]
        for tag in tags if confirm.multiple else [confirm.delivery_tag]:
            self._outcomes.setdefault(self._under_way.pop(tag).id, refused)
        if not self._under_way:
            self._end(None)
