"""What the email worker needs to know, read from the environment once. Opens nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from extracted.chassis.database import database_url
from extracted.chassis.events import broker_url
from extracted.chassis.settings import Environment
from extracted.email_worker.messages import ADDRESS

# With it a mail is sent and noted well within the 30 s for which the embedded broker leases it.
MOST_TIMEOUT_S = 25.0


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed in. `tls` is of the connection; `starttls` begins it within."""

    host: str
    port: int
    tls: bool = False
    starttls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # it has secrets
class Settings:
    """What was mailed is noted in `memory_file`, or else in the database at `database_url`."""

    broker_url: str = field(repr=False)
    smtp: SmtpServer
    mail_from: str
    smtp_timeout_s: float = 20.0
    memory_file: Path | None = None
    database_url: str | None = field(default=None, repr=False)

    @classmethod
    def from_environ(cls, variables: Mapping[str, str]) -> Settings:
        """Raises SettingsError naming every variable that is missing or wrong."""
        environment = Environment("email worker", variables)
        read = environment.read
        shared = bool(variables.get("DATABASE_URL")) and not variables.get("MEMORY_FILE")
        settings = cls(
            broker_url=read("BROKER_URL", broker_url),
            smtp=read("SMTP_URL", smtp_server),
            mail_from=read("MAIL_FROM", _address),
            smtp_timeout_s=read("SMTP_TIMEOUT_S", _timeout_s, "20"),
            memory_file=None if shared else read("MEMORY_FILE", Path),
            database_url=read("DATABASE_URL", database_url) if shared else None,
        )
        environment.check()
        return settings


def smtp_server(text: str) -> SmtpServer:
    """The server at smtp://[user:password@]host[:port][?starttls=1] or smtps://….

    Raises ValueError, which does not tell the text: it may hold a password.
    """
    parts = urlsplit(text)
    options = parse_qsl(parts.query, keep_blank_values=True)
    try:
        port = parts.port
    except ValueError:
        port = -1
    known = parts.scheme in {"smtp", "smtps"} and parts.path in {"", "/"} and port != -1
    if not (known and parts.hostname and options in ([], [("starttls", "1")])):
        raise ValueError(
            "is no mail server's address; write smtp://user:password@host:587?starttls=1,"
            " smtps://user:password@host, or smtp://host where no password is asked for"
        )
    tls = parts.scheme == "smtps"
    if tls and options:
        raise ValueError(
            "asks for TLS twice: smtps:// begins with it, and ?starttls=1 is for smtp://"
        )
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not (user.isascii() and password.isascii()):
        raise ValueError("has a user or a password that is not in ASCII, which cannot be sent")
    port = port or (465 if tls else 25)
    return SmtpServer(parts.hostname, port, tls, bool(options), user, password)


def _address(text: str) -> str:
    if not ADDRESS.fullmatch(text):
        raise ValueError(f"is {text!r}, which is not a mail address such as blog@example.org")
    return text


def _timeout_s(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MOST_TIMEOUT_S:
        raise ValueError(f"is {text!r}; write seconds, above 0 and up to {MOST_TIMEOUT_S:g}")
    return seconds
