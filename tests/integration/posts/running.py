"""The posts service for tests, and the other services as far as it asks them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, request

from extracted.chassis.schema import upgrade
from extracted.chassis.tokens import TokenSettings
from extracted.posts.settings import Settings
from tests.blog import NOWHERE, SECRET, bearer

NAME = "0123456789abcdef0123456789abcdef.jpg"


def told(user_id: int = 1, name: str = "Ann", **more: Any) -> dict[str, str]:
    """The Authorization header with a token that says who its owner is."""
    return bearer(user_id, name=name, email=f"{name.lower()}@example.org", **more)


def settings(folder: Path, **more: Any) -> Settings:
    """Settings of a service with an empty database, which talks to nobody."""
    url = f"sqlite:///{folder / 'posts.db'}"
    upgrade(url, "posts")
    values = {
        "database_url": url,
        "broker_url": f"sqlite:///{folder / 'events.db'}",
        "tokens": TokenSettings(SECRET),
        "image_service_url": f"http://{NOWHERE}",
    }
    return Settings(**{**values, **more})


class ImageDouble:
    """An image service that stores nothing; its `refusal` is a status and an error, if it has one.

    It keeps the token and the bytes of each upload.
    """

    def __init__(self) -> None:
        self.refusal: tuple[int, dict[str, Any]] | None = None
        self.uploads: list[tuple[str, bytes]] = []
        self.app = Flask(__name__)
        self.app.add_url_rule("/upload", view_func=self._upload, methods=["POST"])

    def _upload(self) -> tuple[Response, int]:
        sent = request.files["image"]
        self.uploads.append((request.headers["Authorization"], sent.read()))
        sent.close()
        if self.refusal is not None:
            status, error = self.refusal
            return jsonify(error=error), status
        return jsonify(name=NAME, url=f"/images/{NAME}", width=1, height=1), 201
