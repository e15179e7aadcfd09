"""The blog, put together. `create_app` alone builds things; importing this opens nothing."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import ExitStack

from flask import Flask, Response, jsonify

from monolith import draining, errors, requestlog
from monolith.auth import routes as auth_routes
from monolith.auth.passwords import Passwords
from monolith.auth.tokens import Tokens
from monolith.clock import Clock, utc_now
from monolith.db import Database
from monolith.images import routes as image_routes
from monolith.images.local import LocalImages
from monolith.images.storage import Bucket
from monolith.mail.mailer import Mailer
from monolith.payments import routes as payment_routes
from monolith.payments.charging import StripeCharger
from monolith.payments.paying import Payments
from monolith.places import Places
from monolith.posts import routes as post_routes
from monolith.seams.auth import RemoteTokens
from monolith.seams.image import RemoteImages, SwitchedImages
from monolith.seams.switch import Switch
from monolith.settings import Settings

FORM_OVERHEAD_BYTES = 512 * 1024

log = logging.getLogger(__name__)
# Who has sent a picture waits 30 s for the answer, and making it takes some seconds of these.
WAIT_FOR_PLACE_S = 20.0


def create_app(settings: Settings | None = None, clock: Clock = utc_now) -> Flask:
    """Build the application; without settings, from the environment.

    `app.extensions["start"]()` begins what runs beside the requests; `["close"]()` ends that and
    closes what is open. Raises SettingsError.
    """
    settings = settings or Settings.from_environ(os.environ)
    requestlog.configure_logging()
    for doubt in settings.doubts:
        log.warning(doubt)
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_upload_bytes + FORM_OVERHEAD_BYTES
    requestlog.init_app(app)
    errors.init_app(app)
    draining.init_app(app)

    database = Database(settings.database_url)
    database.init_app(app)
    bucket = Bucket(settings)
    charger = StripeCharger(
        settings.stripe_api_key, settings.stripe_api_base, settings.stripe_timeout_s
    )
    remote = RemoteImages.at(settings.image_service_url, max(1, settings.threads - 1))
    switch = Switch(settings.seams_file)
    places = Places(settings.pictures_at_once, WAIT_FOR_PLACE_S)
    local = LocalImages(bucket, settings.max_upload_bytes, settings.max_image_pixels, places)
    images = SwitchedImages(switch, local, remote)
    elsewhere = _tokens_of_auth(settings, switch, database)
    tokens = Tokens(settings.jwt_secret, settings.token_ttl_s, clock, elsewhere)
    mailer = Mailer(settings.smtp_url, settings.mail_from, settings.smtp_timeout_s)
    payments = Payments(charger, clock, settings.payment_lease_s)
    passwords = Passwords(settings.bcrypt_rounds)

    app.register_blueprint(auth_routes.blueprint(database, passwords, tokens, clock))
    app.register_blueprint(post_routes.blueprint(database, tokens, images, mailer, clock))
    app.register_blueprint(image_routes.blueprint(tokens, images, bucket))
    app.register_blueprint(payment_routes.blueprint(database, tokens, payments, mailer))

    @app.get("/health")
    def health() -> Response:
        return jsonify(status="ok", service="monolith", seams=switch.modes())

    app.extensions["start"] = elsewhere.start if elsewhere else lambda: None
    app.extensions["close"] = _closing(
        *(database.engine.dispose, bucket.close, charger.close, remote.close),
        *([elsewhere.close] if elsewhere else []),
    )
    return app


def _tokens_of_auth(settings: Settings, switch: Switch, database: Database) -> RemoteTokens | None:
    if settings.auth_jwks_url is None:
        return None
    return RemoteTokens.by_keys_at(
        settings.auth_jwks_url, settings.jwks_cache, switch, database.engine
    )


def _closing(*closers: Callable[[], None]) -> Callable[[], None]:
    stack = ExitStack()
    for close in closers:
        stack.callback(close)
    return stack.close
