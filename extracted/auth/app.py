"""The auth service, put together. `create_app` alone builds things; importing opens nothing."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from pathlib import Path

from flask import Flask

from extracted.auth import keyfolder, routes
from extracted.auth.counting import Counts
from extracted.auth.issuing import Issuer
from extracted.auth.keyfolder import KeyFolder, KeyFolderError
from extracted.auth.keyring import Lives
from extracted.auth.models import OUTBOX
from extracted.auth.passwords import Passwords
from extracted.auth.repository import SqlUsers
from extracted.auth.settings import Settings
from extracted.auth.throttling import LoginThrottle, RegisterThrottle
from extracted.chassis import draining, errors, health, logs
from extracted.chassis.clock import Clock, utc_now
from extracted.chassis.database import Database
from extracted.chassis.events import open_broker
from extracted.chassis.outbox import Outbox
from extracted.chassis.outbox_store import SqlOutbox
from extracted.chassis.relaying import Relay
from extracted.chassis.tokens import TokenVerifier

log = logging.getLogger(__name__)


def check(settings: Settings) -> None:
    """See that there is a key to sign with. Raises KeyFolderError, which says how to make one."""
    KeyFolder(settings.signing_keys)


def _note(folder: Path, lives: Lives) -> None:
    """Have `keys rotate` know how long keys are needed, whatever it is told itself."""
    try:
        keyfolder.note(folder, lives)
    except (OSError, KeyFolderError) as error:
        log.warning("`keys rotate` has to be given TOKEN_TTL_S and SIGNING_DELAY_S: %s", error)


def create_app(settings: Settings | None = None, clock: Clock = utc_now) -> Flask:
    """Build the service; without settings, from the environment.

    `app.extensions["start"]()` begins to send events, and `app.extensions["close"]()` ends that and
    closes what is held open. Raises SettingsError, and KeyFolderError without a signing key.
    """
    settings = settings or Settings.from_environ(os.environ)
    logs.configure("auth")
    app = Flask(__name__, static_folder=None)
    logs.init_app(app)
    errors.init_app(app)
    draining.init_app(app)

    lives = Lives(
        timedelta(seconds=settings.signing_delay_s), timedelta(seconds=settings.token_ttl_s)
    )
    _note(settings.signing_keys, lives)
    issuer = Issuer(KeyFolder(settings.signing_keys), lives, clock)
    database = Database(settings.database_url)
    relay = Relay(SqlOutbox(database.engine, OUTBOX), open_broker(settings.broker_url).publisher())
    counts = Counts(settings.rate_limit_url)
    parts = routes.Parts(
        users=SqlUsers(database.sessions, Outbox(OUTBOX, relay.wake)),
        passwords=Passwords(settings.bcrypt_rounds),
        logins=LoginThrottle(
            counts,
            on_account=settings.login_limit,
            of_client=settings.login_client_limit,
            of_account=settings.login_account_limit,
        ),
        registrations=RegisterThrottle(counts, settings.register_limit),
        issuer=issuer,
        tokens=TokenVerifier(settings.jwt_secret, issuer),
        trusted=settings.trusted_proxy,
        clock=clock,
    )
    app.register_blueprint(health.blueprint("auth", relay.details))
    app.register_blueprint(routes.blueprint(parts))

    def close() -> None:
        relay.stop()
        database.close()

    app.extensions["start"] = relay.start
    app.extensions["close"] = close
    return app
