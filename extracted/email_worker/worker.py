"""Mails what happens: consumes the queue `mail` until told to stop.

An event is acknowledged when the mail server has taken its mail and that is noted. Killed between
the two, it is mailed again, under the same Message-ID.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from sqlalchemy import MetaData

from extracted.chassis.clock import Clock, utc_now
from extracted.chassis.database import open_engine
from extracted.chassis.events import Event, Subscription, consume, open_broker
from extracted.chassis.events.consuming import Handler, Memory
from extracted.chassis.events.envelope import P
from extracted.chassis.events.payloads import Payload, PaymentCompleted, PostCreated
from extracted.chassis.events.processed import Processed, processed_table
from extracted.email_worker.letters import Letter, payment_completed, post_created
from extracted.email_worker.mailer import Mailer
from extracted.email_worker.messages import composed
from extracted.email_worker.settings import Settings

QUEUE = "mail"
SUBSCRIPTION = Subscription(QUEUE, (PostCreated.TYPE, PaymentCompleted.TYPE))


def handlers(
    outgoing: Mailer, sender: str, clock: Clock = utc_now
) -> Mapping[type[Payload], Handler]:
    """What to do for each type of event."""

    def mailing(written: Callable[[P], Letter]) -> Handler:
        def handle(event: Event[P]) -> None:
            letter = written(event.payload)
            message = composed(letter, sender=sender, event_id=event.id, date=clock())
            outgoing.send(letter.to.email, message)

        return handle

    return {PostCreated: mailing(post_created), PaymentCompleted: mailing(payment_completed)}


def work(settings: Settings, memory: Memory, stop: threading.Event) -> None:
    """Mail what comes until `stop` is set; a mail at work then is finished."""
    broker, outgoing = open_broker(settings.broker_url), mailer(settings)
    consume(broker, SUBSCRIPTION, handlers(outgoing, settings.mail_from), memory, stop)


def mailer(settings: Settings) -> Mailer:
    """Who sends the mail. Connects to nothing yet."""
    return Mailer(settings.smtp, settings.mail_from, settings.smtp_timeout_s)


def open_memory(settings: Settings) -> Processed:
    """Where it is noted what was mailed. Raises SQLAlchemyError and OSError for a bad file."""
    if settings.database_url is not None:
        table = processed_table(MetaData())
        return Processed(open_engine(settings.database_url), table, QUEUE)
    assert settings.memory_file is not None  # noqa: S101 (one of the two is always set)
    settings.memory_file.parent.mkdir(parents=True, exist_ok=True)
    return Processed.in_file(settings.memory_file, QUEUE)
