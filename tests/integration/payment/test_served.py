"""The service under gunicorn with its reconciler beside it, killed and started again."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import requests

from extracted.chassis.events import Subscription, open_broker
from extracted.chassis.events.envelope import read
from extracted.chassis.schema import upgrade
from scripts.processes import Fleet, Program, Running, free_ports
from tests.blog import SECRET, bearer
from tests.integration.payment.conftest import API_KEY, Stripe
from tests.wire_tools.proxy import until

ORDER = {"amount": 1999, "currency": "usd", "payment_method": "pm_card_visa"}
HEADERS = bearer(7, name="Ann", email="ann@example.org") | {"Idempotency-Key": "order-1"}


class Deployment:
    """The service's processes, and where they keep what they know."""

    def __init__(self, fleet: Fleet, folder: Path, stripe: Stripe) -> None:
        self.fleet = fleet
        (self.port,) = free_ports(1)
        self.database = folder / "payment.db"
        self.environment = {
            "DATABASE_URL": f"sqlite:///{self.database}",
            "BROKER_URL": f"sqlite:///{folder / 'events.db'}",
            "JWT_SECRET": SECRET,
            "STRIPE_API_KEY": API_KEY,
            "STRIPE_API_BASE": stripe.url,
            "PAYMENT_LEASE_S": "1",
            "BIND": f"127.0.0.1:{self.port}",
            "WORKERS": "1",
        }
        upgrade(self.environment["DATABASE_URL"], "payment")

    def serve(self) -> Running:
        config = ("-c", "extracted/payment/gunicorn.conf.py", "extracted.payment.app:create_app()")
        command = (sys.executable, "-m", "gunicorn", *config)
        program = Program("payment", command, self.environment, self.port, health="/health")
        return self.fleet.start(program)

    def reconcile(self) -> Running:
        command = (sys.executable, "-m", "extracted.payment.reconciler")
        return self.fleet.launch(Program("reconciler", command, self.environment, free_ports(1)[0]))

    def pay(self) -> requests.Response:
        url = f"http://127.0.0.1:{self.port}/payment"
        return requests.post(url, json=ORDER, headers=HEADERS, timeout=20)

    def status(self) -> str | None:
        with closing(sqlite3.connect(self.database)) as database:
            row = database.execute("SELECT status FROM payments").fetchone()
        return str(row[0]) if row else None

    def kill(self, running: Running) -> None:
        self.fleet.running.remove(running)
        os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait(10)


@pytest.fixture
def deployment(tmp_path: Path, stripe: Stripe) -> Iterator[Deployment]:
    with Fleet(tmp_path / "service-logs") as fleet:
        yield Deployment(fleet, tmp_path, stripe)


@pytest.mark.parametrize("who", ["client", "reconciler"])
def test_killed_while_stripe_thinks_the_payment_is_finished_once_by_whoever_comes(
    deployment: Deployment, stripe: Stripe, tmp_path: Path, who: str
) -> None:
    broker = open_broker(deployment.environment["BROKER_URL"])
    with (
        closing(broker.consumer(Subscription("mail", ("payment.completed",)))) as consumer,
        ThreadPoolExecutor(1) as pool,
    ):
        assert consumer.receive(0.01) is None
        serving = deployment.serve()
        stripe.spoil(latency_s=1.0)
        lost = pool.submit(deployment.pay)
        until(lambda: deployment.status() == "pending", "the intent is recorded", 20)
        deployment.kill(serving)
        with pytest.raises(requests.RequestException):
            lost.result(20)
        stripe.spoil(latency_s=0.0)

        deployment.serve()
        if who == "reconciler":
            reconciler = deployment.reconcile()
            until(lambda: deployment.status() == "succeeded", "it is finished", 30)
            reconciler.process.terminate()
            assert reconciler.process.wait(20) == 0
        until(lambda: deployment.pay().status_code == 201, "the repeat is answered", 30)

        delivery = consumer.receive(30)
        assert delivery is not None
        consumer.done(delivery)
        event = read(delivery.message.body)
        assert event.payload.reference == deployment.pay().json()["stripe_id"]
        assert consumer.receive(0.1) is None
    assert len(stripe.charges()) == 1
