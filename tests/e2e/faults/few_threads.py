"""An application for gunicorn with few threads: /login reads its body, /users/1 has none."""

from __future__ import annotations

from flask import Flask, request


def create_app() -> Flask:
    app = Flask(__name__, static_folder=None)

    @app.get("/users/1")
    def user() -> str:
        return "one"

    @app.post("/login")
    def login() -> str:
        return str(len(request.get_data()))

    return app
