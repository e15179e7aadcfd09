"""A service with two routes: `/asking` needs another service, `/alone` needs nothing."""

import os
import sys

from flask import Flask, Response, jsonify

from extracted.chassis.breaker import Breaker
from extracted.chassis.client import ServiceClient, ServiceUnavailableError

TIMEOUT_S = 1.0
NEVER = sys.maxsize


def create_app() -> Flask:
    """Build it. `DEPENDENCY_URL` is the other service; without `BREAKER=1` none ever opens."""
    failures = 5 if os.environ.get("BREAKER") == "1" else NEVER
    client = ServiceClient(
        os.environ["DEPENDENCY_URL"],
        timeout_s=TIMEOUT_S,
        breaker=Breaker("The dependency", failures=failures),
    )
    app = Flask(__name__, static_folder=None)

    @app.get("/asking")
    def asking() -> tuple[Response, int]:
        try:
            answer = client.request("GET", "/users/7")
        except ServiceUnavailableError as error:
            return jsonify(error=str(error)), 503
        return jsonify(answer.json), answer.status

    @app.get("/alone")
    def alone() -> Response:
        return jsonify(status="ok")

    return app
