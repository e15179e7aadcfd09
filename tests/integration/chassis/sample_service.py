"""A small service on the chassis, for gunicorn: /health, and /slow, which takes its time."""

from __future__ import annotations

import logging
import time

from flask import Flask

from extracted.chassis import health, logs


def create_app() -> Flask:
    logs.configure("sample")
    app = Flask(__name__, static_folder=None)
    logs.init_app(app)
    app.register_blueprint(health.blueprint("sample"))

    @app.get("/slow")
    def slow() -> str:
        logging.getLogger("sample").info("slow begins")
        time.sleep(1.5)
        return "done"

    return app
