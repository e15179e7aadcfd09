"""GET /health: the service is up and takes requests. It asks no other service: their trouble would
take this one out of service too."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify


def blueprint(service: str) -> Blueprint:
    """The health route of the named service."""
    routes = Blueprint("health", __name__)

    @routes.get("/health")
    def health() -> Response:
        return jsonify(status="ok", service=service)

    return routes
