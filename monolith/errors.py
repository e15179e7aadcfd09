"""Every refusal as JSON: {"error": {"code", "message", ...}}; faults become answers only here."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException

log = logging.getLogger(__name__)

HTTP_CODES = {
    400: ("bad_request", "The request could not be understood."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take this method."),
    413: ("body_too_large", "The request body is larger than is accepted here."),
    415: ("unsupported_media_type", "The request body's Content-Type is not understood here."),
}


class ApiError(Exception):
    """A refusal that a client may see, with its HTTP status and what else the error object says."""

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
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.details = details

    def response(self) -> Response:
        """The answer that says so."""
        body = {"code": self.code, "message": self.message, **self.details}
        response = jsonify(error=body)
        response.status_code = self.status
        response.headers.update(self.headers)
        return response


def not_found(what: str) -> ApiError:
    """A 404 for a thing that is not there."""
    return ApiError(404, "not_found", f"There is no such {what}.")


def init_app(app: Flask) -> None:
    """Answer every failure of this application in JSON."""
    app.register_error_handler(ApiError, _refused)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _refused(error: ApiError) -> Response:
    if error.status >= 500:
        log.error("%s: %s", error.code, error.__cause__ or error.message)
    return error.response()


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    code, message = HTTP_CODES.get(status, (error.name.lower().replace(" ", "_"), error.name + "."))
    keep = {name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After"}}
    return ApiError(status, code, message, headers=keep).response()


def _unexpected(error: Exception) -> Response:
    log.exception("Unexpected failure", exc_info=error)
    message = "Something went wrong here; it has been logged."
    return ApiError(500, "internal_error", message).response()
