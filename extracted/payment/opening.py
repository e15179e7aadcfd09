"""What the commands beside the service work on: its payments and Stripe, opened and closed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import typer
from sqlalchemy.exc import SQLAlchemyError

from extracted.chassis.database import Database, said
from extracted.chassis.outbox import Outbox
from extracted.chassis.settings import SettingsError
from extracted.payment.charging import UnknownOutcomeError
from extracted.payment.repository import SqlPayments
from extracted.payment.settings import ReconcilerSettings
from extracted.payment.stripe_charger import StripeCharger
from extracted.payment.tables import outbox

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts that a command uses. Events that it records are sent by the service's relay."""

    repository: SqlPayments
    charger: StripeCharger
    lease_s: float


def settings_or_exit() -> ReconcilerSettings:
    """What the environment says. Ends the command with 2 when something is missing or wrong."""
    try:
        return ReconcilerSettings.from_environ(os.environ)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


@contextmanager
def opened(settings: ReconcilerSettings) -> Iterator[Desk]:
    """The parts over this database and this Stripe."""
    for doubt in settings.doubts:
        log.warning(doubt)
    charger = StripeCharger(
        settings.stripe_api_key, settings.stripe_api_base, settings.stripe_timeout_s
    )
    with closing(charger), closing(Database(settings.database_url)) as database:
        repository = SqlPayments(database.sessions, Outbox(outbox))
        yield Desk(repository, charger, settings.payment_lease_s)


@contextmanager
def failing_with(what: str) -> Iterator[None]:
    """End the command with 1, saying what could not be done, when Stripe or the database fails."""
    try:
        yield
    except (UnknownOutcomeError, SQLAlchemyError) as error:
        typer.echo(f"{what}: {said(error)}", err=True)
        raise typer.Exit(1) from error
