"""A monolith killed in the middle of a payment, as processes: the repeat charges once."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import requests
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from scripts.processes import Fleet
from tests.blog import NOWHERE, SECRET
from tests.e2e.acceptance.conftest import start_monolith

ORDER = {"amount": 1999, "currency": "usd", "payment_method": "pm_card_visa"}


@dataclass
class SlowStripe:
    """Charges once for each key. The first request stands still at `moment` until `release`."""

    moment: str
    reached: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    charges: dict[str, str] = field(default_factory=dict)

    def __call__(self, request: Request) -> Response:
        key = request.headers["Idempotency-Key"]
        amount = parse_qs(request.get_data(as_text=True))["amount"][0]
        held = not self.reached.is_set()
        if held and self.moment == "before the charge":
            self.hold()
            return Response(status=503)  # nobody is there to read it
        intent = self.charges.setdefault(key, f"pi_{uuid.uuid4().hex}")
        if held:
            self.hold()
        body = f'{{"id": "{intent}", "object": "payment_intent", "status": "succeeded", '
        return Response(body + f'"amount": {amount}}}', content_type="application/json")

    def hold(self) -> None:
        self.reached.set()
        self.release.wait(30)


@pytest.fixture(params=["before the charge", "after the charge"])
def stripe(request: pytest.FixtureRequest) -> Iterator[SlowStripe]:
    stripe = SlowStripe(request.param)
    yield stripe
    stripe.release.set()


@pytest.fixture
def stripe_url(stripe: SlowStripe) -> Iterator[str]:
    with HTTPServer(threaded=True) as server:
        server.expect_request("/v1/payment_intents", "POST").respond_with_handler(stripe)
        yield server.url_for("")
        stripe.release.set()


def test_a_monolith_killed_around_the_charge_charges_once(
    tmp_path: Path, stripe: SlowStripe, stripe_url: str
) -> None:
    environment = {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'blog.db'}",
        "JWT_SECRET": SECRET,
        "S3_BUCKET": "blog",
        "S3_ENDPOINT_URL": f"http://{NOWHERE}",
        "SMTP_URL": f"smtp://{NOWHERE}",
        "MAIL_FROM": "blog@example.org",
        "STRIPE_API_KEY": "sk_test_x",
        "STRIPE_API_BASE": stripe_url.rstrip("/"),
        "PAYMENT_LEASE_S": "1",
        "BCRYPT_ROUNDS": "4",
        "WORKERS": "1",
    }
    with Fleet(tmp_path / "logs") as fleet, ThreadPoolExecutor(1) as pool:
        url = start_monolith(fleet, environment)
        account = {"email": "ann@example.org", "password": "secret123", "name": "Ann"}
        requests.post(f"{url}/register", json=account, timeout=10).raise_for_status()
        token = requests.post(f"{url}/login", json=account, timeout=10).json()["token"]
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "order-1"}

        lost = pool.submit(requests.post, f"{url}/payment", json=ORDER, headers=headers, timeout=20)
        assert stripe.reached.wait(20)
        killed = fleet.running.pop().process
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait(10)
        with pytest.raises(requests.RequestException):
            lost.result(20)
        with sqlite3.connect(tmp_path / "blog.db") as database:
            found = database.execute("SELECT status, stripe_id FROM payments").fetchall()
        database.close()
        assert found == [("pending", None)]
        stripe.release.set()

        url = start_monolith(fleet, environment)
        answer = repeat(url, headers)
        assert answer.status_code == 201
        assert [answer.json()["stripe_id"]] == list(stripe.charges.values())
        assert repeat(url, headers).json() == answer.json()


def repeat(url: str, headers: dict[str, str]) -> requests.Response:
    """Repeat as a client would: while it is told that the payment is in progress."""
    deadline = time.monotonic() + 20
    while True:
        answer = requests.post(f"{url}/payment", json=ORDER, headers=headers, timeout=10)
        if answer.status_code != 409 or time.monotonic() > deadline:
            return answer
        assert answer.json()["error"]["code"] == "payment_in_progress"
        time.sleep(float(answer.headers["Retry-After"]) / 10)
