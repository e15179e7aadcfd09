"""The posts service, put together. `create_app` alone builds things; importing opens nothing."""

from __future__ import annotations

import os
from contextlib import ExitStack

from flask import Flask

from extracted.chassis import draining, errors, health, logs
from extracted.chassis.clock import Clock, utc_now
from extracted.chassis.events import open_broker
from extracted.chassis.relaying import Relay
from extracted.posts import routes
from extracted.posts.callers import AskedTokens, Callers, SignedTokens
from extracted.posts.images import Images
from extracted.posts.opening import open_storage
from extracted.posts.settings import Settings

FORM_OVERHEAD_BYTES = 512 * 1024


def create_app(settings: Settings | None = None, clock: Clock = utc_now) -> Flask:
    """Build the service; without settings, from the environment.

    `app.extensions["start"]()` begins to send events and to fetch keys, in threads; `["close"]()`
    ends that and closes what is open. Raises SettingsError.
    """
    settings = settings or Settings.from_environ(os.environ)
    logs.configure("posts")
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_upload_bytes + FORM_OVERHEAD_BYTES
    logs.init_app(app)
    errors.init_app(app)
    draining.init_app(app)

    storage = open_storage(settings.database_url)
    relay = Relay(storage.outbox, open_broker(settings.broker_url).publisher())
    callers = _callers(settings, clock)
    images = Images(settings.image_service_url, _all_but_one(settings.threads))
    app.register_blueprint(health.blueprint("posts", relay.details))
    app.register_blueprint(routes.blueprint(storage.repository(relay.wake), callers, images, clock))

    closing = ExitStack()
    for close in (storage.close, images.close, callers.close, relay.stop):
        closing.callback(close)

    def start() -> None:
        relay.start()
        callers.start()

    app.extensions["start"] = start
    app.extensions["close"] = closing.close
    return app


def _callers(settings: Settings, clock: Clock) -> Callers:
    if settings.auth_service_url is not None:
        return AskedTokens(settings.auth_service_url, clock, _all_but_one(settings.threads))
    if settings.tokens is None:
        raise ValueError("neither `tokens` nor `auth_service_url` says how tokens are checked")
    return SignedTokens(settings.tokens.verifier())


def _all_but_one(threads: int) -> int:
    """How many threads may wait for one other service: one is left for whoever needs none."""
    return max(1, threads - 1)
