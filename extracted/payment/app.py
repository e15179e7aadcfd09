"""The payment service, put together. `create_app` alone builds things; importing opens nothing."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack

from flask import Flask

from extracted.chassis import draining, errors, health, logs
from extracted.chassis.clock import Clock, utc_now
from extracted.chassis.database import Database
from extracted.chassis.events import open_broker
from extracted.chassis.outbox import Outbox
from extracted.chassis.outbox_store import SqlOutbox
from extracted.chassis.relaying import Relay
from extracted.payment import routes
from extracted.payment.repository import SqlPayments
from extracted.payment.service import Payments
from extracted.payment.settings import Settings
from extracted.payment.stripe_charger import StripeCharger
from extracted.payment.tables import outbox

log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None, clock: Clock = utc_now) -> Flask:
    """Build the service; without settings, from the environment.

    `app.extensions["start"]()` begins to send events and to fetch keys, in threads; `["close"]()`
    ends that and closes what is open. Raises SettingsError.
    """
    settings = settings or Settings.from_environ(os.environ)
    logs.configure("payment")
    for doubt in settings.doubts:
        log.warning(doubt)
    app = Flask(__name__, static_folder=None)
    logs.init_app(app)
    errors.init_app(app)
    draining.init_app(app)

    database = Database(settings.database_url)
    relay = Relay(SqlOutbox(database.engine, outbox), open_broker(settings.broker_url).publisher())
    repository = SqlPayments(database.sessions, Outbox(outbox, relay.wake))
    charger = StripeCharger(
        settings.stripe_api_key, settings.stripe_api_base, settings.stripe_timeout_s
    )
    payments = Payments(repository, charger, clock, settings.payment_lease_s)
    tokens = settings.tokens.verifier()
    app.register_blueprint(health.blueprint("payment", relay.details))
    app.register_blueprint(routes.blueprint(tokens, repository, payments))

    closing = ExitStack()
    for close in (database.close, charger.close, tokens.stop, relay.stop):  # the relay first
        closing.callback(close)

    def start() -> None:
        relay.start()
        tokens.start()

    app.extensions["start"] = start
    app.extensions["close"] = closing.close
    return app
