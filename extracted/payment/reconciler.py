"""`python -m extracted.payment.reconciler`: brings payments to an end that no client repeats.

It runs beside the service, once or several times; its events are sent by the service's relay.
Exit codes: 0 stopped or done, 1 Stripe or the database was away (with --once), 2 wrong settings.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from extracted.chassis import logs
from extracted.chassis.clock import utc_now
from extracted.chassis.database import Database
from extracted.chassis.events.pace import Outage
from extracted.chassis.outbox import Outbox
from extracted.chassis.settings import SettingsError
from extracted.payment.charging import UnknownOutcomeError
from extracted.payment.reconciling import Reconciler, Tally
from extracted.payment.repository import SqlPayments
from extracted.payment.settings import ReconcilerSettings
from extracted.payment.stripe_charger import StripeCharger
from extracted.payment.tables import outbox

EVERY_S = 5.0

app = typer.Typer(add_completion=False)


@app.command()
def reconcile(
    once: Annotated[bool, typer.Option("--once", help="One round, then end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --once: tell it as JSON.")] = False,
) -> None:
    """Ask Stripe for payments that are pending or processing, until stopped by SIGTERM or SIGINT.

    Reads DATABASE_URL, STRIPE_API_KEY, STRIPE_API_BASE, STRIPE_TIMEOUT_S and PAYMENT_LEASE_S.
    """
    try:
        settings = ReconcilerSettings.from_environ(os.environ)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    logs.configure("payment-reconciler")
    with opened(settings) as reconciler:
        if once:
            _tell(_one_round(reconciler), as_json)
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        run(reconciler.round, stop)


@contextmanager
def opened(settings: ReconcilerSettings) -> Iterator[Reconciler]:
    """The reconciler of this database and this Stripe; what it holds open is closed after."""
    with (
        closing(Database(settings.database_url)) as database,
        closing(
            StripeCharger(
                settings.stripe_api_key, settings.stripe_api_base, settings.stripe_timeout_s
            )
        ) as charger,
    ):
        repository = SqlPayments(database.sessions, Outbox(outbox))
        yield Reconciler(repository, charger, utc_now, settings.payment_lease_s)


def run(
    one_round: Callable[[Callable[[], bool]], Tally],
    stop: threading.Event,
    every_s: float = EVERY_S,
) -> None:
    """Go round until told to stop; while Stripe or the database is away, with growing pauses."""
    outage = Outage("Reconciler")
    while not stop.is_set():
        try:
            one_round(stop.is_set)
        except Exception as error:  # noqa: BLE001 (whatever it is, the reconciler must live on)
            stop.wait(outage.wait_s(error))
        else:
            outage.over()
            stop.wait(every_s)


def _one_round(reconciler: Reconciler) -> Tally:
    try:
        return reconciler.round()
    except (UnknownOutcomeError, SQLAlchemyError) as error:
        typer.echo(f"Not all payments could be asked for: {error}", err=True)
        raise typer.Exit(1) from error


def _tell(tally: Tally, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(tally)))
    else:
        told = f"{tally.succeeded} succeeded, {tally.failed} failed, {tally.waiting} still wait"
        typer.echo(told)


if __name__ == "__main__":
    app(prog_name="python -m extracted.payment.reconciler")
