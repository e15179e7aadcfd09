"""Logs as JSON lines on standard error, each with the X-Request-ID and the trace of its request."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from datetime import UTC, datetime

from flask import Flask, Response, g, has_request_context, request

from extracted.chassis import tracing

log = logging.getLogger("access")

ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


class JsonLines(logging.Formatter):
    """One JSON object a record; `extra={"fields": {...}}` adds to it."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "request_id": request_id(),
            "trace_id": tracing.trace_id(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in line.items() if value is not None})


def request_id() -> str | None:
    """The id of the request being served, if one is."""
    return g.get("request_id") if has_request_context() else None


def configure(service: str) -> None:
    """Log as JSON lines; does nothing where logging is already set up."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def quieten(library: str, level: int) -> None:
    """Have a library tell nothing below this level, unless somebody has said what it is to tell."""
    its_log = logging.getLogger(library)
    if its_log.level == logging.NOTSET:
        its_log.setLevel(level)


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
        fields = {
            "method": request.method,
            "path": request.path,
            "status": response.status_code,
            "took_ms": round((time.monotonic() - g.began) * 1000, 1),
        }
        log.info("%s %s", request.method, request.path, extra={"fields": fields})
        return response
