"""GET /health: the service is up and takes requests. It asks no other service: their trouble would
take this one out of service too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify


def blueprint(service: str, details: Callable[[], Any] | None = None) -> Blueprint:
    """The health route of the named service; with `details`, what it gives is told as well.

    It has to give it at once, from memory: a database that hangs must not hang this answer. If it
    raises, the kind of error is told instead, and the service is as healthy as without.
    """
    routes = Blueprint("health", __name__)

    @routes.get("/health")
    def health() -> Response:
        told = {} if details is None else {"details": _given(details)}
        return jsonify(status="ok", service=service, **told)

    return routes


def _given(details: Callable[[], Any]) -> Any:
    try:
        return details()
    except Exception as error:  # noqa: BLE001 (whatever it is, the service still takes requests)
        return {"error": type(error).__name__}  # its text may hold what is nobody's business
