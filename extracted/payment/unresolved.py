"""`python -m extracted.payment.unresolved`: payments that need a person, and the person's word.

A pending payment that is older than Stripe's memory of its key is not repeated; and that Stripe's
search finds nothing of it does not prove that nothing was charged. Who has looked into it says how
it ended. Exit codes: 0 done, 1 it could not be done, 2 wrong usage.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

import typer

from extracted.chassis import logs
from extracted.chassis.clock import rfc3339, utc_now
from extracted.payment.charging import SUCCEEDED, Charge, Outcome, Refused
from extracted.payment.opening import Desk, failing_with, opened, settings_or_exit
from extracted.payment.service import FAILED, Payment, finished

NOT_MADE = Refused(True, "payment_not_made", "The payment was not made; pay under a new key.")
Number = Annotated[int, typer.Argument(metavar="PAYMENT", help="Its number in the list.")]

app = typer.Typer(add_completion=False)


@app.callback()
def main() -> None:
    """Payments that need a person."""
    logs.configure("payment-unresolved")


@app.command("list")
def list_command(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List them, the oldest first."""
    with opened(settings_or_exit()) as desk, failing_with("They cannot be read"):
        told = [_told(payment) for payment in desk.repository.for_a_person(utc_now())]
    if as_json:
        typer.echo(json.dumps(told))
        return
    for each in told:
        typer.echo("  ".join(f"{name} {value}" for name, value in each.items()))
    typer.echo(f"{len(told)} need a person")


@app.command()
def made(
    payment: Number,
    intent: Annotated[str, typer.Argument(metavar="INTENT", help="Its PaymentIntent, pi_….")],
) -> None:
    """Stripe has it, as this PaymentIntent: it ends here as it ended there."""
    _settle(payment, lambda desk, charge: desk.charger.look_up(charge, intent))


@app.command("not-made")
def not_made(payment: Number) -> None:
    """Stripe has nothing of it: it has failed, and the payer may pay under a new key."""
    _settle(payment, lambda _desk, _charge: NOT_MADE)


def _settle(number: int, ask: Callable[[Desk, Charge], Outcome]) -> None:
    with opened(settings_or_exit()) as desk, failing_with(f"Payment {number} stays as it is"):
        payment = _taken(desk, number)
        if payment is None:
            told = f"Payment {number} is not among those that need a person, or somebody is on it."
            typer.echo(told, err=True)
            raise typer.Exit(1)
        try:
            typer.echo(f"Payment {number} {_end(desk, payment, ask)}")
        finally:
            desk.repository.release(payment)  # if it has not ended


def _end(desk: Desk, payment: Payment, ask: Callable[[Desk, Charge], Outcome]) -> str:
    """End the payment as it is told, and how that is."""
    after, event = finished(payment, ask(desk, payment.charge), utc_now())
    if after.status not in (SUCCEEDED, FAILED):
        typer.echo(f"Stripe says that it is {after.status}: wait.", err=True)
        raise typer.Exit(1)
    return desk.repository.finish(payment, after, event).status


def _taken(desk: Desk, number: int) -> Payment | None:
    """The payment with its lease, so that no client repeats it meanwhile."""
    now = utc_now()
    for payment in desk.repository.for_a_person(now, number):
        return desk.repository.take_over(payment, now, now + timedelta(seconds=desk.lease_s))
    return None


def _told(payment: Payment) -> dict[str, object]:
    order = payment.order
    return {
        "payment": payment.id,
        "status": payment.status,
        "user": order.user_id,
        "amount": order.amount,
        "currency": order.currency,
        "created_at": rfc3339(payment.created_at),
        "stripe_id": payment.stripe_id,
        "stripe_key": payment.charge.key,
    }


if __name__ == "__main__":
    app(prog_name="python -m extracted.payment.unresolved")
