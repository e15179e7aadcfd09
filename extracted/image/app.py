"""The image service, put together. `create_app` alone builds things; importing opens nothing."""

from __future__ import annotations

import os

from flask import Flask

from extracted.chassis import draining, errors, health, logs
from extracted.chassis.places import Places
from extracted.image import routes
from extracted.image.service import Limits
from extracted.image.settings import Settings
from extracted.image.storage import S3Storage, Storage

FORM_OVERHEAD_BYTES = 512 * 1024
# Who has sent a picture waits 30 s for the answer, and making it takes some seconds of these.
WAIT_FOR_PLACE_S = 20.0


def create_app(settings: Settings | None = None, storage: Storage | None = None) -> Flask:
    """Build the service; without settings, from the environment; without storage, over S3.

    `app.extensions["start"]()` begins to fetch keys, in a thread; `["close"]()` ends that and
    closes what it holds open. Raises SettingsError.
    """
    settings = settings or Settings.from_environ(os.environ)
    logs.configure("image")
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_upload_bytes + FORM_OVERHEAD_BYTES
    logs.init_app(app)
    errors.init_app(app)
    draining.init_app(app)

    storage = storage or S3Storage(settings)
    limits = Limits(settings.max_upload_bytes, settings.max_pixels)
    places = Places(settings.pictures_at_once, WAIT_FOR_PLACE_S)
    tokens = settings.tokens.verifier()
    app.register_blueprint(health.blueprint("image"))
    app.register_blueprint(routes.blueprint(tokens, storage, limits, places))

    def close() -> None:
        tokens.stop()
        storage.close()

    app.extensions["start"] = tokens.start
    app.extensions["close"] = close
    return app
