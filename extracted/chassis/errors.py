"""Every failure of a service as JSON: {"error": {"code", "message", ...}}."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException

log = logging.getLogger(__name__)

# What the monolith says for the failures that the framework finds.
FRAMEWORK = {
    400: ("bad_request", "The request could not be understood."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take this method."),
    413: ("body_too_large", "The request body is larger than is accepted here."),
    415: ("unsupported_media_type", "The request body's Content-Type is not understood here."),
}


class Refusal(Exception):
    """An answer that says no: its HTTP status, and what its error object holds."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.error = {"code": code, "message": message, **details}


def not_found(what: str) -> Refusal:
    """A 404 for a thing that is not there."""
    return Refusal(404, "not_found", f"There is no such {what}.")


def init_app(app: Flask) -> None:
    """Answer every failure of this service in JSON."""
    app.register_error_handler(Refusal, answer)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def answer(refusal: Refusal) -> Response:
    """The refusal as JSON; for a service's own error handlers, which must not raise."""
    if refusal.status >= 500:
        log.error("%s: %s", refusal.error["code"], refusal.__cause__ or refusal)
    response = jsonify(error=refusal.error)
    response.status_code = refusal.status
    response.headers.update(refusal.headers)
    return response


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    code, message = FRAMEWORK.get(status, (error.name.lower().replace(" ", "_"), error.name + "."))
    keep = {name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After"}}
    return answer(Refusal(status, code, message, headers=keep))


def _unexpected(error: Exception) -> Response:
    log.exception("Unexpected failure", exc_info=error)
    return answer(Refusal(500, "internal_error", "Something went wrong here; it has been logged."))
