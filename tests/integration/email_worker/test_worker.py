"""From the event to the mail, on both brokers."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner, Result

from extracted.chassis.events import happened
from extracted.chassis.events.payloads import PaymentCompleted, Person
from extracted.email_worker.__main__ import app
from extracted.email_worker.settings import Settings
from extracted.email_worker.worker import open_memory, work
from tests.integration.email_worker.conftest import FROM, Site, eventually, posted
from tests.integration.email_worker.servers import listening

MINA = Person(id=7, name="김미나", email="mina@example.org", language="ko")


@contextmanager
def working(site: Site) -> Iterator[None]:
    """A worker in a thread."""
    settings = Settings.from_environ(site.environment())
    memory, stop = open_memory(settings), threading.Event()
    thread = threading.Thread(target=work, args=(settings, memory, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        memory.close()
    assert not thread.is_alive()


def test_both_events_are_mailed_to_whom_they_name_in_their_language(site: Site) -> None:
    payment = PaymentCompleted(
        payment_id=3, amount=12000, currency="krw", reference="pi_1", payer=MINA
    )
    post, paid = posted(5), happened(payment)
    site.publish(post, paid)
    with listening(site.inbox), working(site):
        eventually(lambda: len(site.inbox.messages) == 2, "both are mailed")
    first, second = site.inbox.messages
    assert (first["Subject"], first["From"]) == ("Published: No. 5", FROM)
    assert first["Message-ID"] == f"<{post.id}@example.org>"
    assert (second["Subject"], second["Content-Language"]) == ("결제 영수증: 12,000원", "ko")
    assert second["To"].addresses[0].display_name == "김미나"
    assert [each.rcpt_tos for each in site.inbox.envelopes] == [
        ["ann@example.org"],
        ["mina@example.org"],
    ]


def test_an_event_that_comes_twice_is_mailed_once(site: Site) -> None:
    event, last = posted(1), posted(2)
    site.publish(event)
    with listening(site.inbox), working(site):
        eventually(site.inbox.subjects, "it is mailed")
        site.publish(event, last)
        eventually(lambda: "Published: No. 2" in site.inbox.subjects(), "the last is mailed")
    assert site.inbox.subjects() == ["Published: No. 1", "Published: No. 2"]


def test_while_smtp_is_down_nothing_is_lost_and_the_order_is_kept(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with working(site):
        with listening(site.inbox):
            site.publish(posted(1))
            eventually(site.inbox.subjects, "the first is mailed")
        site.publish(*(posted(number) for number in range(2, 6)))
        away = f"127.0.0.1:{site.inbox.port} cannot be talked to"
        eventually(lambda: away in caplog.text, "it has tried")
        assert site.dead_letters() == 0
        with listening(site.inbox):
            eventually(lambda: len(site.inbox.messages) >= 5, "all are mailed")
    assert site.inbox.subjects() == [f"Published: No. {number}" for number in range(1, 6)]
    assert site.queue_is_empty()


def test_a_refused_recipient_is_a_dead_letter_at_once_and_holds_up_nobody(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    gone = "gone@example.org"
    site.inbox.recipients = {gone: f"550 5.1.1 <{gone}>: no such mailbox"}
    site.publish(posted(1, gone), posted(2), posted(3, "no address"))
    with listening(site.inbox), working(site):
        eventually(lambda: site.dead_letters() == 2, "they are put aside")
        eventually(lambda: site.inbox.subjects() == ["Published: No. 2"], "the other is mailed")
        logged = "\n".join(
            record.getMessage() for record in caplog.records if record.name.startswith("extracted")
        )
        assert "550 5.1.1 <…>: no such mailbox" in logged
        assert "@example.org" not in logged
        site.inbox.recipients = {}
        letters = site.broker.dead_letters("mail")
        (first, _) = letters.list(10)
        assert letters.replay([first.message.id]) == 1
        letters.close()
        eventually(lambda: "Published: No. 1" in site.inbox.subjects(), "it is mailed after all")


def status(site: Site, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--status", *arguments], env=site.environment())


def test_the_status_tells_what_is_away_and_what_was_given_up(site: Site) -> None:
    site.inbox.recipients = {"gone@example.org": "550 no such mailbox"}
    site.publish(posted(1, "gone@example.org"))
    with listening(site.inbox):
        with working(site):
            eventually(lambda: site.dead_letters() == 1, "it is put aside")
        told = status(site)
        assert (told.exit_code, told.output) == (
            0,
            "broker: answers; dead letters: 1\nsmtp: answers\n",
        )
    away = status(site, "--json")
    found = json.loads(away.output)
    assert away.exit_code == 1
    assert (found["ready"], found["dead_letters"], found["broker"]) == (False, 1, None)
    assert "refused" in found["smtp"]


def test_a_broker_that_is_away_is_told(site: Site) -> None:
    environment = {**site.environment(), "BROKER_URL": "amqp://guest:guest@127.0.0.1:1/"}
    with listening(site.inbox):
        told = CliRunner().invoke(app, ["--status"], env=environment)
    assert told.exit_code == 1
    assert "RabbitMQ at 127.0.0.1:1 cannot be used" in told.output


def test_settings_that_cannot_be_are_refused_with_every_fault(site: Site) -> None:
    environment = {**site.environment(), "SMTP_URL": "nowhere", "MAIL_FROM": ""}
    told = CliRunner().invoke(app, [], env=environment)
    assert told.exit_code == 2
    assert "SMTP_URL" in told.stderr
    assert "MAIL_FROM is not set" in told.stderr
    unusable = {**site.environment(), "MEMORY_FILE": "/proc/nowhere/mailed.db"}
    told = CliRunner().invoke(app, [], env=unusable)
    assert told.exit_code == 1
    assert "MEMORY_FILE /proc/nowhere/mailed.db cannot be used" in told.stderr
