from __future__ import annotations

from pathlib import Path

import pytest

from extracted.chassis.settings import SettingsError
from extracted.email_worker.settings import Settings, SmtpServer, smtp_server

GOOD = {
    "BROKER_URL": "sqlite:////var/events.db",
    "SMTP_URL": "smtp://127.0.0.1:1025",
    "MAIL_FROM": "blog@example.org",
    "MEMORY_FILE": "/var/mailed.db",
}


def test_a_good_environment_is_read_with_its_defaults() -> None:
    settings = Settings.from_environ(GOOD)
    assert settings.smtp == SmtpServer("127.0.0.1", 1025)
    assert settings.memory_file == Path("/var/mailed.db")
    assert settings.database_url is None
    assert settings.smtp_timeout_s == 20


def test_several_machines_remember_in_a_database_and_a_file_of_its_own_comes_first() -> None:
    both = {**GOOD, "DATABASE_URL": "postgresql://mail@db/mail"}
    assert Settings.from_environ(both).database_url is None
    shared = Settings.from_environ({**both, "MEMORY_FILE": ""})
    assert shared.memory_file is None
    assert shared.database_url == "postgresql+psycopg://mail@db/mail"


def test_every_fault_is_reported_at_once() -> None:
    wrong = {"SMTP_URL": "smtp://ann:geheim@", "MAIL_FROM": "the blog", "SMTP_TIMEOUT_S": "30"}
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ(wrong)
    told = str(caught.value)
    for name in ("BROKER_URL is not set", "SMTP_URL", "MAIL_FROM", "MEMORY_FILE", "SMTP_TIMEOUT_S"):
        assert name in told
    assert len(caught.value.problems) == 5
    assert "geheim" not in told


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail", SmtpServer("mail", 25)),
        ("smtp://mail:587/?starttls=1", SmtpServer("mail", 587, starttls=True)),
        ("smtps://mail", SmtpServer("mail", 465, tls=True)),
        ("smtp://a%40b:p%2Fw@mail:2525", SmtpServer("mail", 2525, user="a@b", password="p/w")),
        ("smtp://[::1]:25", SmtpServer("::1", 25)),
    ],
)
def test_an_address_of_a_mail_server_is_understood(url: str, server: SmtpServer) -> None:
    assert smtp_server(url) == server


@pytest.mark.parametrize(
    "url",
    [
        *("http://mail", "smtp://", "smtp://mail:port", "smtp://mail:70000", "mail:25"),
        *("smtp://mail?starttls=0", "smtp://mail?tls=1", "smtps://mail?starttls=1"),
        *("smtp://mail/path", "smtp://ann:gr%C3%BCn@mail"),
    ],
)
def test_any_other_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        smtp_server(url)


def test_a_password_is_in_no_printed_settings() -> None:
    settings = Settings.from_environ({**GOOD, "SMTP_URL": "smtp://ann:geheim@mail"})
    assert "geheim" not in repr(settings)
