"""A conversation with a mail server that ends in time, however slowly the other side drips.

smtplib bounds each wait and not the whole, so a server that sends a byte now and then would hold
the worker past the broker's lease. Looking up the server's name is the resolver's, and takes the
time that it allows; but what that took is missing afterwards.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
import time
from contextlib import suppress

from extracted.email_worker.settings import SmtpServer

CONNECT_TIMEOUT_S = 5.0


class Conversation(smtplib.SMTP):
    """One with this server; after `within_s` it is broken off, wherever it stands.

    `begin` it, and `end` it whatever has happened. `context` is how TLS is spoken. `own_name` is
    what to introduce oneself as; the default is looked up.
    """

    def __init__(
        self,
        server: SmtpServer,
        within_s: float,
        context: ssl.SSLContext,
        own_name: str | None = None,
    ) -> None:
        self._give_up = time.monotonic() + within_s
        self._server = server
        self._context = context
        self._line: socket.socket | None = None
        self._timer: threading.Timer | None = None
        super().__init__(local_hostname=own_name)
        # The name that `starttls` verifies; smtplib sets it only if it connects while it is made.
        self._host = server.host

    def begin(self) -> None:
        """Connect, greet, and log in where a user is given. Raises smtplib's errors and OSError."""
        code, said = self.connect(self._server.host, self._server.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, said)
        self.ehlo_or_helo_if_needed()
        if self._server.starttls:
            self.starttls(context=self._context)
            self.ehlo_or_helo_if_needed()
        if self._server.user:
            self.login(self._server.user, self._server.password)

    def end(self) -> None:
        """Say goodbye if anybody is still there, and let go of the connection.

        The answer to that is not waited for, as Postfix does not either (smtp_skip_quit_response):
        what was taken is taken, and has to be noted soon.
        """
        with suppress(OSError, smtplib.SMTPException):
            self.putcmd("quit")
        self.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        if self._line is not None:
            self._line.close()

    def _get_socket(self, host: str, port: int, _timeout: float) -> socket.socket:
        """Connect: smtplib's own place for saying how, which its SMTP_SSL uses too."""
        connected = socket.create_connection((host, port), min(CONNECT_TIMEOUT_S, self._left_s()))
        # A second handle on the same connection: TLS takes the first one over.
        self._line = connected.dup()
        connected.settimeout(self._left_s())
        self._timer = threading.Timer(self._left_s(), self._break_off)
        self._timer.daemon = True
        self._timer.start()
        if self._server.tls:
            return self._context.wrap_socket(connected, server_hostname=host)
        return connected

    def _left_s(self) -> float:
        """Never 0, which would mean not to wait at all."""
        return max(0.001, self._give_up - time.monotonic())

    def _break_off(self) -> None:
        with suppress(OSError):
            if self._line is not None:
                self._line.shutdown(socket.SHUT_RDWR)
