"""Mail over SMTP, inside the request that causes it.

A mail that cannot be written or sent is logged and given up: what it reports has been stored, or a
card charged, and the client must not be told otherwise. The whole exchange is bounded, not each
wait of it: a server that drips a byte a second would hold the request for ever.
"""

from __future__ import annotations

import logging
import smtplib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from email.utils import formatdate, make_msgid
from urllib.parse import urlsplit

log = logging.getLogger(__name__)


class Mailer:
    """Sends from one address through one server, within `timeout_s` seconds a message."""

    def __init__(self, url: str, sender: str, timeout_s: float) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 25
        self._sender = sender
        self._timeout_s = timeout_s

    def send(self, written: Callable[[], Message]) -> bool:
        """Write and send it now; False, and a line in the log, when that fails, however it does."""
        try:
            return self._send(written())
        except Exception:
            log.exception("A mail could not be written or sent")
            return False

    def _send(self, message: Message) -> bool:
        message["From"] = self._sender
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2])
        try:
            with smtplib.SMTP(timeout=self._timeout_s) as smtp, _broken_off(smtp, self._timeout_s):
                smtp.connect(self._host, self._port)
                smtp.send_message(message, to_addrs=[message["To"]])
        except (OSError, smtplib.SMTPException) as error:
            log.warning("Mail %r to %s was not sent: %s", message["Subject"], message["To"], error)
            return False
        return True


@contextmanager
def _broken_off(smtp: smtplib.SMTP, after_s: float) -> Iterator[None]:
    """End the conversation after so long, wherever it stands; what waits for it then fails."""

    def break_off() -> None:
        with suppress(OSError):
            if smtp.sock is not None:
                smtp.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(after_s, break_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
