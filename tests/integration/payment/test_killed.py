"""A process killed at any point of a payment: who comes after it charges once and tells once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from extracted.chassis.clock import utc_now
from extracted.chassis.database import open_engine
from extracted.payment.opening import Desk, opened
from extracted.payment.reconciling import Reconciler
from extracted.payment.service import IN_PROGRESS, NotPaidError, Payments
from extracted.payment.settings import ReconcilerSettings
from extracted.payment.tables import outbox
from scripts.processes import ROOT
from tests.integration.payment.conftest import API_KEY, Stripe, emptied
from tests.payments_in_memory import ANN, ORDER
from tests.wire_tools.proxy import until

PROGRAM = Path(__file__).with_name("program.py")
LEASE_S = 0.5


class World:
    """One database and one Stripe, and who works on them after a death."""

    def __init__(self, url: str, stripe: Stripe) -> None:
        self.environment = {
            "DATABASE_URL": url,
            "STRIPE_API_KEY": API_KEY,
            "STRIPE_API_BASE": stripe.url,
            "PAYMENT_LEASE_S": str(LEASE_S),
        }
        self.stripe = stripe

    def killed(self, what: str, point: str) -> None:
        """Run this until it dies at this point."""
        died = subprocess.run(
            [sys.executable, str(PROGRAM), what, point],
            cwd=ROOT,
            env={**os.environ, **self.environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert died.returncode == -signal.SIGKILL, died.stderr

    def events(self) -> int:
        """How many the outbox has, sent or not."""
        engine = open_engine(self.environment["DATABASE_URL"])
        with engine.connect() as connection:
            count = connection.scalar(select(func.count()).select_from(outbox))
        engine.dispose()
        return count or 0


@pytest.fixture
def world(payment_url: str, stripe: Stripe) -> World:
    return World(emptied(payment_url), stripe)


@pytest.fixture
def desk(world: World) -> Iterator[Desk]:
    with opened(ReconcilerSettings.from_environ(world.environment)) as desk:
        yield desk


def status(desk: Desk) -> str:
    (payment,) = desk.repository.all_own(ORDER.user_id, 0, 2)
    return payment.status


def repeated(desk: Desk) -> bool:
    """Whether the client's repeat has been answered with the payment."""
    try:
        Payments(desk.repository, desk.charger, utc_now, LEASE_S).pay(ORDER, ANN)
    except NotPaidError as error:
        if error.code != IN_PROGRESS:
            raise
        return False
    return True


def reconciled(desk: Desk) -> bool:
    """Whether there is nothing left to do for the reconciler."""
    Reconciler(desk.repository, desk.charger, utc_now, LEASE_S).round()
    return status(desk) == "succeeded"


@pytest.mark.parametrize("finish", [repeated, reconciled])
@pytest.mark.parametrize(
    ("point", "charges", "left"),
    [
        ("before charge", 0, "pending"),
        ("after charge", 1, "pending"),
        ("after finish", 1, "succeeded"),
    ],
)
def test_a_service_killed_in_a_payment_has_charged_and_told_once_in_the_end(
    world: World, desk: Desk, point: str, charges: int, left: str, finish: Callable[[Desk], bool]
) -> None:
    world.killed("pay", point)
    assert (len(world.stripe.charges()), status(desk)) == (charges, left)
    until(lambda: finish(desk), "the payment is finished", 30)
    assert repeated(desk)
    assert (len(world.stripe.charges()), world.events()) == (1, 1)


@pytest.mark.parametrize("point", ["after take_over", "after charge", "after finish"])
def test_a_reconciler_killed_at_work_leaves_it_to_the_next(
    world: World, desk: Desk, point: str
) -> None:
    world.killed("pay", "before charge")
    long_ago = utc_now() - timedelta(days=1)
    until(lambda: desk.repository.due(utc_now(), long_ago, 0, 1), "its lease is over")
    world.killed("reconcile", point)
    until(lambda: reconciled(desk), "the payment is finished", 30)
    assert (len(world.stripe.charges()), world.events()) == (1, 1)
