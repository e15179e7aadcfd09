"""Mail servers for tests: a real one that can be told what to do, and one that follows a script."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from itertools import chain, pairwise, repeat
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from scripts.processes import free_ports

DRIP_S = 0.05


@dataclass
class Inbox:
    """Takes every message, but for what `sender`, `recipients` and `content` say instead.

    At the point named by `hold` it says nothing until let go: "command" is before it asks for the
    content, "content" before it keeps the message, "kept" after that. `reached` tells that it is
    there, and `left` that the other side has hung up meanwhile, which ends what it was at.
    """

    port: int
    sender: str = "250 OK"
    recipients: dict[str, str] = field(default_factory=dict)
    content: str = "250 OK"
    hold: str = ""
    reached: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)
    messages: list[EmailMessage] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def subjects(self) -> list[str]:
        return [message["Subject"] for message in self.messages]

    async def handle_MAIL(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        envelope.mail_from = address
        return self.sender

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        answer = self.recipients.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        await self.passes("content")
        if self.content.startswith("250"):
            raw = cast(bytes, envelope.content)
            self.messages.append(cast(EmailMessage, message_from_bytes(raw, policy=default)))
            self.envelopes.append(envelope)
        await self.passes("kept")
        return self.content

    async def passes(self, point: str) -> None:
        try:
            while self.hold == point:
                self.reached.set()
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.left.set()
            raise

    def login(
        self, _server: SMTP, _session: Session, _envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        given = cast(LoginPassword, data)
        self.logins.append(given.login.decode())
        return AuthResult(success=given.password == b"geheim", handled=False)


class _Smtp(SMTP):
    async def smtp_DATA(self, arg: str) -> None:
        await self.event_handler.passes("command")
        await super().smtp_DATA(arg)


class _Controller(Controller):
    def factory(self) -> SMTP:
        return _Smtp(self.handler, **self.SMTP_kwargs)


@contextlib.contextmanager
def listening(
    inbox: Inbox, *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None
) -> Iterator[None]:
    """The inbox behind its port; with `starttls`, nobody is listened to without TLS and login."""
    options: dict[str, Any] = {}
    if starttls is not None:
        options = {"tls_context": starttls, "require_starttls": True, "auth_required": True}
        options["authenticator"] = inbox.login
    controller = _Controller(
        inbox, hostname="127.0.0.1", port=inbox.port, ssl_context=tls, **options
    )
    controller.start()
    try:
        yield
    finally:
        controller.stop()


def new_inbox() -> Inbox:
    """One that does not listen yet."""
    return Inbox(free_ports(1)[0])


@contextlib.contextmanager
def scripted(
    *replies: bytes, drip: bytes = b"2", tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """The port of a server that says these things in turn, and then drips a byte now and then: each
    of `drip`, and its last one for ever."""
    over = threading.Event()

    def speak(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as lines:
                connection.sendall(replies[0])
                for before, reply in pairwise(replies):
                    _hear(lines, whole=before.startswith(b"354"))
                    connection.sendall(reply)
                for byte in chain(drip, repeat(drip[-1])):
                    if over.wait(DRIP_S):
                        return
                    connection.sendall(bytes([byte]))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=speak, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _hear(lines: Any, *, whole: bool) -> None:
    """One line, or a whole content."""
    while (line := lines.readline()) and whole and line != b".\r\n":
        pass
