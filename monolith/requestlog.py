"""A line in the log for each request, under the X-Request-ID that it came with or was given."""

from __future__ import annotations

import logging
import re
import time
import uuid

from flask import Flask, Response, g, has_request_context, request

log = logging.getLogger("monolith.access")

ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
# What would end a line or steer a terminal; a path may have it, as %0A.
CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
ESCAPED = {code: f"\\u{code:04x}" for code in CONTROLS}


class WithRequestId(logging.Filter):
    """Gives each record the id of the request during which it was made, or `-`."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record."""
        record.request_id = g.get("request_id", "-") if has_request_context() else "-"
        return True


class OneLine(logging.Formatter):
    """Writes each record as one line, whatever is in it; a traceback stands below in lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """The line, without what would begin another."""
        return super().formatMessage(record).translate(ESCAPED)


def configure_logging() -> None:
    """Log to standard error, one line a record; does nothing where logging is already set up."""
    handler = logging.StreamHandler()
    handler.addFilter(WithRequestId())
    line = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"
    logging.getLogger("stripe").setLevel(logging.WARNING)
    handler.setFormatter(OneLine(line))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def init_app(app: Flask) -> None:
    """Keep or make each request's id, answer with it, and log how the request went."""

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if ID.fullmatch(given) else uuid.uuid4().hex
        g.began = time.monotonic()

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.request_id
        took_ms = (time.monotonic() - g.began) * 1000
        log.info("%s %s %s %.1fms", request.method, request.path, response.status_code, took_ms)
        return response
