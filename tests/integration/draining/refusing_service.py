"""An application for gunicorn that refuses every POST without reading its body."""

from __future__ import annotations

import importlib

from flask import Flask


def create_app(draining: str, most_s: str) -> Flask:
    """`draining` names the module to try; bodies are read for so many seconds."""
    app = Flask(__name__, static_folder=None)
    importlib.import_module(draining).init_app(app, float(most_s))

    @app.get("/health")
    def health() -> str:
        return "well"

    @app.post("/refused")
    def refused() -> tuple[str, int]:
        return "no", 400

    return app
