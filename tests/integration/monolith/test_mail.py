"""Mail inside the request: sent when it can be, given up within bounds when it cannot."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import default
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as Conversation
from flask import Flask
from sqlalchemy.orm import Session

from monolith.app import create_app
from monolith.clock import utc_now
from monolith.db import open_engine, upgrade
from monolith.mail.mailer import Mailer
from monolith.models import User
from tests.blog import NOWHERE, bearer, settings, sqlite_url


class Inbox:
    """Takes every message, or answers what `refusal` says."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.recipients: list[str] = []
        self.refusal: str | None = None

    async def handle_DATA(self, _server: SMTP, _session: Conversation, envelope: Envelope) -> str:
        if self.refusal:
            return self.refusal
        self.recipients += envelope.rcpt_tos
        self.messages.append(message_from_bytes(envelope.content, policy=default))
        return "250 OK"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, str]]:
    inbox = Inbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield inbox, f"smtp://127.0.0.1:{port}"
    controller.stop()


def blog(folder: Path, smtp_url: str, email: str) -> Flask:
    """With one user, whose address nobody has looked at."""
    url = sqlite_url(folder)
    upgrade(url)
    engine = open_engine(url)
    with Session(engine) as session:
        session.add(User(id=1, email=email, name="N", password_hash="", created_at=utc_now()))
        session.commit()
    engine.dispose()
    return create_app(settings(url, smtp_url=smtp_url))


def message() -> EmailMessage:
    message = EmailMessage()
    message["To"] = "ann@example.org"
    message["Subject"] = "Grüße"
    message.set_content("Hello")
    message.add_alternative("<p>Hello</p>", "html")
    return message


def test_a_message_arrives_with_text_html_and_its_headers(inbox: tuple[Inbox, str]) -> None:
    box, url = inbox
    assert Mailer(url, "blog@example.org", 3).send(message)
    (got,) = box.messages
    assert (got["From"], got["To"], got["Subject"]) == (
        "blog@example.org",
        "ann@example.org",
        "Grüße",
    )
    assert got["Message-ID"].endswith("@example.org>")
    assert [part.get_content_type() for part in got.iter_parts()] == ["text/plain", "text/html"]


def test_a_refusing_server_is_logged_and_given_up(
    inbox: tuple[Inbox, str], caplog: pytest.LogCaptureFixture
) -> None:
    box, url = inbox
    box.refusal = "451 Not now"
    assert not Mailer(url, "blog@example.org", 3).send(message)
    assert "Not now" in caplog.text


def test_no_server_is_logged_and_given_up(caplog: pytest.LogCaptureFixture) -> None:
    assert not Mailer(f"smtp://{NOWHERE}", "blog@example.org", 3).send(message)
    assert "ann@example.org" in caplog.text


def test_a_silent_server_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mailer = Mailer(f"smtp://127.0.0.1:{silent.getsockname()[1]}", "blog@example.org", 0.2)
        began = time.monotonic()
        assert not mailer.send(message)
        assert time.monotonic() - began < 2


def test_a_server_that_drips_is_given_up_in_time() -> None:
    """A byte now and then keeps each single wait short; the whole must be bounded as well."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"2")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        mailer = Mailer(f"smtp://127.0.0.1:{listener.getsockname()[1]}", "blog@example.org", 0.3)
        began = time.monotonic()
        try:
            assert not mailer.send(message)
        finally:
            stop.set()
            thread.join()
        assert time.monotonic() - began < 3


def test_a_mail_that_cannot_be_written_is_logged_and_given_up(
    inbox: tuple[Inbox, str], caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> Message:
        raise UnicodeEncodeError("ascii", "\xff", 0, 1, "no text")

    box, url = inbox
    assert not Mailer(url, "blog@example.org", 3).send(fail)
    assert "no text" in caplog.text
    assert box.messages == []


@pytest.mark.parametrize("email", [":;@example.org", "x,victim@corp.example"])
def test_a_post_of_an_old_account_without_a_usable_address_is_stored_and_mailed_to_nobody(
    inbox: tuple[Inbox, str], tmp_path: Path, email: str
) -> None:
    box, url = inbox
    app = blog(tmp_path, url, email)
    answer = app.test_client().post("/posts", json={"title": "T", "body": "B"}, headers=bearer(1))
    assert answer.status_code == 201
    assert box.recipients == []


def test_a_title_goes_to_its_author_alone_and_adds_no_header(
    inbox: tuple[Inbox, str], tmp_path: Path
) -> None:
    box, url = inbox
    title = "=?utf-8?q?=0D=0AReply-To:_evil@x.y=0D=0A=0D=0A<h1>Pay</h1>?="
    client = blog(tmp_path, url, "ann@example.org").test_client()
    answer = client.post("/posts", json={"title": title, "body": "B"}, headers=bearer(1))
    assert answer.status_code == 201
    (got,) = box.messages
    assert (box.recipients, got["Reply-To"]) == (["ann@example.org"], None)
    assert got["Subject"] == f"Published: {title}"
