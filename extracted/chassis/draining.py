"""A request that is refused early still has its body on the way; it is read before the answer.

Gunicorn drains 64 KiB by itself and then closes, after having promised to keep the connection: the
client, or the proxy in between, sees a reset where the answer should be (RFC 9112, 9.6). What a
body may have here at most is read and thrown away; past that, closing is right.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from socket import socket
from typing import Any

from flask import Flask, Response, request

CHUNK_BYTES = 65536
MAX_DRAINED_BYTES = 64 * 1024 * 1024
MAX_DRAINING_S = 10.0
TICK_S = 0.25


def init_app(app: Flask, most_s: float = MAX_DRAINING_S) -> None:
    """Read what each request has left unread, for `most_s` seconds (and TICK_S) at most."""
    deadlines = Deadlines()

    @app.after_request
    def drain(response: Response) -> Response:
        environ = request.environ
        # Without this mark of the server, reading on would wait for bytes that never come.
        if not environ.get("wsgi.input_terminated") or not _has_body(environ):
            return response
        body, drained = environ["wsgi.input"], 0
        give_up = time.monotonic() + most_s
        try:
            with deadlines.set(environ.get("gunicorn.socket"), give_up):
                while drained < MAX_DRAINED_BYTES and time.monotonic() < give_up:
                    chunk = body.read(CHUNK_BYTES)
                    if not chunk:
                        break
                    drained += len(chunk)
        except OSError:
            # The client has gone, is too slow, or sent what is no body. Gunicorn knows by this
            # failure that it must close the connection: what comes next is no request.
            app.logger.info("A request body broke off after %s drained bytes", drained)
        return response


def _has_body(environ: Mapping[str, Any]) -> bool:
    return "HTTP_TRANSFER_ENCODING" in environ or environ.get("CONTENT_LENGTH", "0") != "0"


class Deadlines:
    """Moments after which nothing is read from a socket any more, for all threads of a process.

    One read of a body is many of its socket, each with the whole time-out: a client that sends a
    byte a second would hold a thread for hours. So a thread makes the time-outs shorter as time
    passes; a read that begins after the moment fails, one under way ends within TICK_S of it.
    """

    def __init__(self) -> None:
        self._until: dict[socket, float] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def set(self, sock: socket | None, until: float) -> Iterator[None]:
        """Let reads fail (OSError) after this moment of time.monotonic(); None: no socket."""
        if sock is None:
            yield
            return
        before = sock.gettimeout()
        with self._lock:
            if self._thread is None:  # not before a request: no thread outlives a fork
                self._thread = threading.Thread(target=self._keep, name="draining", daemon=True)
                self._thread.start()
            self._until[sock] = until
            _shorten(sock, until)
        try:
            yield
        finally:
            with self._lock:
                del self._until[sock]
                sock.settimeout(before)

    def _keep(self) -> None:
        while True:
            time.sleep(TICK_S)
            with self._lock:
                for sock, until in self._until.items():
                    with suppress(OSError):  # it was closed
                        _shorten(sock, until)


def _shorten(sock: socket, until: float) -> None:
    # No time left is a socket that does not wait at all.
    sock.settimeout(max(0.0, until - time.monotonic()))
