"""Hands messages to a mail server, one conversation each."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from extracted.email_worker.conversation import Conversation
from extracted.email_worker.replies import Stage, refusal, silence
from extracted.email_worker.settings import SmtpServer

# Not any 2xx: of an answer that was cut off there may be a number, too.
DONE = (250, 251)


class Mailer:
    """Sends from one address through one server, within `timeout_s` seconds a message.

    `context` is how TLS is spoken: by default with the authorities that this machine trusts.
    """

    def __init__(
        self,
        server: SmtpServer,
        sender: str,
        timeout_s: float,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._server = server
        self._sender = sender
        self._timeout_s = timeout_s
        self._context = context or ssl.create_default_context()
        self._own_name: str | None = None

    def send(self, recipient: str, message: bytes) -> None:
        """Return when the server has taken the message, and with it the duty to deliver it.

        Raises NotNowError, NeverError or TryAgainError, as `replies` says.
        """
        with self._conversation() as smtp:
            size = [f"size={len(message)}"] if smtp.has_extn("size") else []
            self._step(Stage.SENDER, lambda: smtp.mail(self._sender, size))
            self._step(Stage.RECIPIENT, lambda: smtp.rcpt(recipient))
            self._step(Stage.CONTENT, lambda: smtp.data(message))

    def check(self) -> None:
        """Return if the server is ready to take mail. Raises NotNowError."""
        with self._conversation():
            return

    @contextmanager
    def _conversation(self) -> Iterator[Conversation]:
        smtp = Conversation(self._server, self._timeout_s, self._context, self._own_name)
        self._own_name = smtp.local_hostname
        try:
            with self._blamed(Stage.OPENING):
                smtp.begin()
            yield smtp
        finally:
            smtp.end()

    def _step(self, stage: Stage, act: Callable[[], tuple[int, bytes]]) -> None:
        with self._blamed(stage):
            code, said = act()
            if code not in DONE:
                raise smtplib.SMTPResponseException(code, said)

    @contextmanager
    def _blamed(self, stage: Stage) -> Iterator[None]:
        server = f"{self._server.host}:{self._server.port}"
        try:
            yield
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error
            if isinstance(said, str):  # by smtplib: what the server said could not be read
                raise silence(server, stage, said) from error
            raise refusal(server, stage, error.smtp_code, said) from error
        except (OSError, smtplib.SMTPException, ValueError) as error:
            # ValueError is of a host's name or a password that cannot be sent: of no single mail.
            raise silence(server, stage, str(error) or type(error).__name__) from error
