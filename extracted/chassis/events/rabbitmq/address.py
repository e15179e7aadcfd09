"""Where RabbitMQ is, how it is connected to, and how trouble with it is told."""

from __future__ import annotations

from urllib.parse import urlsplit

import pika

from extracted.chassis.events.port import BrokerUnavailableError, QueueFullError

CONNECT_S = 5.0
# While the broker takes nothing: its memory or disk alarm.
BLOCKED_S = 10.0
# A consumer does not send any while its handler is at work: at least that time has to pass.
HEARTBEAT_S = 60


class Address:
    """One RabbitMQ; `parameters` are pika's, with a bound for every wait."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._where = f"{parts.hostname}:{parts.port or 5672}"
        self.parameters = pika.URLParameters(url)
        self.parameters.heartbeat = HEARTBEAT_S
        self.parameters.socket_timeout = CONNECT_S
        self.parameters.stack_timeout = 2 * CONNECT_S
        self.parameters.blocked_connection_timeout = BLOCKED_S
        self.parameters.connection_attempts = 1

    def unusable(self, error: BaseException) -> BrokerUnavailableError:
        """It cannot be used, in the words of whatever is at the bottom of pika's error."""
        cause = _innermost(error)
        told = str(cause) or type(cause).__name__
        return BrokerUnavailableError(f"RabbitMQ at {self._where} cannot be used: {told}")

    def lost(self) -> BrokerUnavailableError:
        """There is no connection any longer."""
        return BrokerUnavailableError(f"The connection to RabbitMQ at {self._where} was lost.")

    def refuses(self) -> QueueFullError:
        """It has answered a message with a nack."""
        return QueueFullError(
            f"RabbitMQ at {self._where} refuses a message: a queue that takes it is full. Does its"
            " consumer run?"
        )


def _innermost(error: BaseException) -> BaseException:
    """pika wraps what a connection failed of: in arguments, in tries, in phases of a try."""
    tries = getattr(error, "exceptions", ())
    inner = getattr(error, "exception", None) or (tries or error.args or (None,))[-1]
    return _innermost(inner) if isinstance(inner, BaseException) else error
