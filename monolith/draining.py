"""A request that is refused early still has its body on the way; it is read before the answer.

Gunicorn drains 64 KiB by itself and then closes, after having promised to keep the connection: the
client, or the proxy in between, sees a reset where the answer should be (RFC 9112, 9.6). What a
body may have here at most is read and thrown away; past that, closing is right.
"""

from __future__ import annotations

import time

from flask import Flask, Response, request

CHUNK_BYTES = 65536
MAX_DRAINED_BYTES = 64 * 1024 * 1024
MAX_DRAINING_S = 10.0


def init_app(app: Flask) -> None:
    """Read what each request has left unread, within bounds."""

    @app.after_request
    def drain(response: Response) -> Response:
        # Without this mark of the server, reading on would wait for bytes that never come.
        if not request.environ.get("wsgi.input_terminated"):
            return response
        body, drained = request.environ["wsgi.input"], 0
        give_up = time.monotonic() + MAX_DRAINING_S
        try:
            while drained < MAX_DRAINED_BYTES and time.monotonic() < give_up:
                chunk = body.read(CHUNK_BYTES)
                if not chunk:
                    break
                drained += len(chunk)
        except OSError:
            # The client has gone, or sent what is no body; the server will find out for itself.
            app.logger.info("A request body broke off after %s drained bytes", drained)
        return response
