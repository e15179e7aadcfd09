"""Whether what the worker needs is there, and how many mails were given up."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from extracted.chassis.events import NotNowError, open_broker
from extracted.chassis.events.port import BrokerUnavailableError
from extracted.email_worker.settings import Settings
from extracted.email_worker.worker import QUEUE, mailer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Status:
    """What `broker` and `smtp` fail with, or None where they answer; the number of dead letters,
    unless the broker is away."""

    dead_letters: int | None
    broker: str | None
    smtp: str | None

    @property
    def is_ready(self) -> bool:
        """Whether mail can be sent now."""
        return self.broker is None and self.smtp is None


def look(settings: Settings) -> Status:
    """Ask both."""
    with closing(open_broker(settings.broker_url).dead_letters(QUEUE)) as letters:
        dead_letters, broker_problem = _tried(letters.count)
    _, smtp_problem = _tried(mailer(settings).check)
    return Status(dead_letters, broker_problem, smtp_problem)


def _tried(ask: Callable[[], T]) -> tuple[T | None, str | None]:
    try:
        return ask(), None
    except (BrokerUnavailableError, NotNowError) as error:
        return None, str(error)
