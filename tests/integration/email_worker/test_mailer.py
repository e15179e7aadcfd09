"""One message handed to a mail server, which may answer anything, nothing, or very slowly."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from extracted.chassis.events import NeverError, NotNowError
from extracted.email_worker.mailer import Mailer
from extracted.email_worker.replies import TryAgainError
from extracted.email_worker.settings import SmtpServer
from tests.integration.email_worker.servers import Inbox, listening, new_inbox, scripted
from tests.wire_tools.certificates import Authority

FROM, TO = "blog@example.org", "ann@example.org"
MESSAGE = b"Subject: Hello\r\n\r\n.a line with a dot\r\n"
WELCOME = (b"220 mail\r\n", b"250 mail\r\n")
OK = b"250 OK\r\n"
TO_CONTENT = (*WELCOME, OK, OK, b"354 go\r\n")


def mailer(port: int, timeout_s: float = 20.0) -> Mailer:
    return Mailer(SmtpServer("127.0.0.1", port), FROM, timeout_s)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = new_inbox()
    with listening(inbox):
        yield inbox


def test_what_the_server_has_taken_is_whole_and_goes_to_its_recipient_alone(inbox: Inbox) -> None:
    mailer(inbox.port).send(TO, MESSAGE)
    (envelope,) = inbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == (FROM, [TO])
    assert envelope.content == MESSAGE


def test_each_refusal_is_told_from_the_others_and_the_next_mail_is_another_matter(
    inbox: Inbox,
) -> None:
    sending = mailer(inbox.port)
    inbox.recipients = {TO: f"550 5.1.1 <{TO}>: unknown"}
    with pytest.raises(NeverError, match=r"550 5\.1\.1 <…>: unknown"):
        sending.send(TO, MESSAGE)
    inbox.recipients = {TO: "450 greylisted"}
    with pytest.raises(TryAgainError, match="450 greylisted"):
        sending.send(TO, MESSAGE)
    inbox.recipients = {}
    inbox.content = "554 looks like spam"
    with pytest.raises(NeverError):
        sending.send(TO, MESSAGE)
    inbox.content = "421 shutting down"
    with pytest.raises(NotNowError):
        sending.send(TO, MESSAGE)
    inbox.content = "250 OK"
    inbox.sender = "550 who are you"
    with pytest.raises(NotNowError):
        sending.send(TO, MESSAGE)
    inbox.sender = "250 OK"
    sending.send(TO, MESSAGE)
    assert len(inbox.messages) == 1


def test_nobody_there_is_told_with_the_address() -> None:
    port = new_inbox().port
    with pytest.raises(NotNowError, match=rf"127\.0\.0\.1:{port} .*refused"):
        mailer(port).check()
    with pytest.raises(NotNowError):
        mailer(port).send(TO, MESSAGE)


@pytest.mark.parametrize("greeting", [b"421 busy\r\n", b"554 no\r\n", b"SSH-2.0\r\n"])
def test_a_server_that_does_not_welcome_anybody_is_away(greeting: bytes) -> None:
    with scripted(greeting) as port, pytest.raises(NotNowError):
        mailer(port, 5).check()


@pytest.mark.parametrize("said", [(), WELCOME[:1], WELCOME, TO_CONTENT[:3]])
def test_a_server_that_drips_is_given_up_in_time_and_is_away(said: tuple[bytes, ...]) -> None:
    """Each wait is short; without a bound on the whole this test would not end."""
    with scripted(*(said or (b"",))) as port, pytest.raises(NotNowError):
        mailer(port, 0.3).send(TO, MESSAGE)


def test_a_server_that_does_not_say_whether_it_has_taken_the_mail_is_a_try_that_failed() -> None:
    """Not now would be at once again: a copy every few seconds from a server that is only slow."""
    with scripted(*TO_CONTENT, b"25") as port, pytest.raises(TryAgainError):
        mailer(port, 0.3).send(TO, MESSAGE)


@pytest.mark.parametrize(
    ("until", "raised"),
    [(WELCOME, NotNowError), (TO_CONTENT[:3], NotNowError), (TO_CONTENT, TryAgainError)],
)
def test_a_line_without_end_is_no_refusal_of_the_mail(
    until: tuple[bytes, ...], raised: type[Exception]
) -> None:
    with scripted(*until, b"250 " + b"x" * 9000 + b"\r\n") as port, pytest.raises(raised):
        mailer(port, 5).send(TO, MESSAGE)


def test_what_is_wrong_with_the_servers_address_is_of_no_single_mail() -> None:
    with pytest.raises(NotNowError):
        Mailer(SmtpServer("mail..example.org", 25), FROM, 5).send(TO, MESSAGE)
    with scripted(WELCOME[0], b"250-mail\r\n250 AUTH PLAIN\r\n") as port:
        server = SmtpServer("127.0.0.1", port, user="blog", password="geheimnisträger")
        with pytest.raises(NotNowError):
            Mailer(server, FROM, 5).send(TO, MESSAGE)


@pytest.mark.parametrize("goodbye", [b"500 what?\r\n", b"2"])
def test_what_is_said_after_the_mail_was_taken_is_not_waited_for(goodbye: bytes) -> None:
    with scripted(*TO_CONTENT, OK, goodbye) as port:
        mailer(port).send(TO, MESSAGE)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def context(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate, key = authority.certificate("localhost")
    context.load_cert_chain(certificate, key)
    return context


@pytest.mark.parametrize("how", ["starttls", "tls"])
def test_over_tls_the_server_has_to_show_who_it_is(
    how: str, authority: Authority, context: ssl.SSLContext
) -> None:
    inbox = new_inbox()
    server = SmtpServer(
        "localhost", inbox.port, tls=how == "tls", starttls=how == "starttls", user="ann",
        password="geheim",
    )  # fmt: skip
    if how == "tls":
        server = SmtpServer("localhost", inbox.port, tls=True)
    with listening(inbox, **{"tls" if how == "tls" else "starttls": context}):
        Mailer(server, FROM, 20, authority.trusting()).send(TO, MESSAGE)
        assert len(inbox.messages) == 1
        with pytest.raises(NotNowError, match="CERTIFICATE_VERIFY_FAILED"):
            Mailer(server, FROM, 20).send(TO, MESSAGE)
    assert len(inbox.messages) == 1


def test_a_wrong_password_stops_all_mail_and_loses_none(
    authority: Authority, context: ssl.SSLContext
) -> None:
    inbox = new_inbox()
    server = SmtpServer("localhost", inbox.port, starttls=True, user="ann", password="falsch")
    with listening(inbox, starttls=context), pytest.raises(NotNowError, match="535") as caught:
        Mailer(server, FROM, 20, authority.trusting()).send(TO, MESSAGE)
    assert "falsch" not in str(caught.value)
    assert set(inbox.logins) == {"ann"}


def test_a_handshake_that_does_not_end_is_given_up_in_time(authority: Authority) -> None:
    hello = b"250-mail\r\n250 STARTTLS\r\n"
    record = b"\x16\x03\x03\x40\x00"  # a handshake's, of 16 KiB (RFC 8446, 5.1)
    with scripted(WELCOME[0], hello, b"220 go\r\n", drip=record) as port:
        server = SmtpServer("localhost", port, starttls=True)
        with pytest.raises(NotNowError):
            Mailer(server, FROM, 0.3, authority.trusting()).check()


def test_a_server_that_drips_over_tls_is_given_up_in_time(
    authority: Authority, context: ssl.SSLContext
) -> None:
    with scripted(*WELCOME, tls=context) as port:
        server = SmtpServer("localhost", port, tls=True)
        with pytest.raises(NotNowError):
            Mailer(server, FROM, 0.5, authority.trusting()).send(TO, MESSAGE)


def test_a_server_without_tls_gets_no_password(tmp_path: Path) -> None:
    with scripted(*WELCOME, b"500 what?\r\n") as port:
        server = SmtpServer("127.0.0.1", port, starttls=True, user="ann", password="geheim")
        with pytest.raises(NotNowError, match="STARTTLS extension not supported"):
            Mailer(server, FROM, 5).check()
