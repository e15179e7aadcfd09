"""`python -m extracted.payment.reconciler`: brings payments to an end that no client repeats.

It runs beside the service, once or several times; its events are sent by the service's relay.
Exit codes: 0 stopped or done, 1 Stripe or the database was away (with --once), 2 wrong settings.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer

from extracted.chassis import logs
from extracted.chassis.clock import utc_now
from extracted.chassis.events.pace import Outage
from extracted.payment.opening import failing_with, opened, settings_or_exit
from extracted.payment.reconciling import Reconciler, Tally

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
    logs.configure("payment-reconciler")
    with opened(settings_or_exit()) as desk:
        reconciler = Reconciler(desk.repository, desk.charger, utc_now, desk.lease_s)
        if once:
            with failing_with("Not all payments could be asked for"):
                _tell(reconciler.round(), as_json)
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        run(reconciler.round, stop)


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


def _tell(tally: Tally, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(tally)))
    else:
        told = f"{tally.succeeded} succeeded, {tally.failed} failed, {tally.waiting} still wait"
        typer.echo(told)


if __name__ == "__main__":
    app(prog_name="python -m extracted.payment.reconciler")
