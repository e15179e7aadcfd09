"""The service over its HTTP interface, the reconciler and the commands beside it, and a Stripe."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import select, update
from typer import Typer
from typer.testing import CliRunner
from werkzeug.test import TestResponse

from extracted.chassis.clock import utc_now
from extracted.chassis.database import open_engine
from extracted.chassis.events import Subscription, open_broker
from extracted.chassis.events.envelope import read
from extracted.chassis.events.payloads import PaymentCompleted, Person
from extracted.payment import reconciler, unresolved
from extracted.payment.app import create_app
from extracted.payment.opening import opened
from extracted.payment.reconciling import Reconciler
from extracted.payment.settings import ReconcilerSettings
from extracted.payment.tables import outbox, payments
from scripts.processes import ROOT
from tests.blog import bearer
from tests.integration.payment.conftest import API_KEY, Stripe, emptied, payment_settings

ANN = {"name": "Ann", "email": "ann@example.org"}
ORDER = {"amount": 1999, "currency": "usd", "payment_method": "pm_card_visa"}


@dataclass
class Place:
    """A service's database, and everything that works on it."""

    url: str
    folder: Path
    stripe: Stripe
    apps: list[Flask]

    def app(self, clock: Callable[[], datetime] = utc_now, **more: Any) -> Flask:
        told = {"stripe_api_key": API_KEY, "stripe_api_base": self.stripe.url, **more}
        app = create_app(payment_settings(self.url, self.folder, **told), clock)
        self.apps.append(app)
        return app

    def events(self) -> list[PaymentCompleted]:
        """What the outbox has, sent or not."""
        engine = open_engine(self.url)
        with engine.connect() as connection:
            bodies = connection.scalars(select(outbox.c.body).order_by(outbox.c.id)).all()
        engine.dispose()
        found = [read(body.encode()).payload for body in bodies]
        return [each for each in found if isinstance(each, PaymentCompleted)]

    def change(self, **values: Any) -> None:
        engine = open_engine(self.url)
        with engine.begin() as connection:
            connection.execute(update(payments).values(values))
        engine.dispose()

    def lose_answers(self) -> None:
        """As if each process had died between Stripe's answer and its record."""
        self.change(status="pending", stripe_id=None, finished_at=None, refusal=None)
        self.change(payer_name=ANN["name"], payer_email=ANN["email"], payer_language="ko")
        engine = open_engine(self.url)
        with engine.begin() as connection:
            connection.execute(outbox.delete())
        engine.dispose()

    def command(self, app: Typer, *arguments: str) -> Result:
        """A command as its users run it, but for the process."""
        done = CliRunner().invoke(app, arguments, env=self.environment)
        assert done.exception is None or isinstance(done.exception, SystemExit)
        return done

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.url,
            "STRIPE_API_KEY": API_KEY,
            "STRIPE_API_BASE": self.stripe.url,
        }

    def reconciled(self) -> dict[str, int]:
        done = self.command(reconciler.app, "--once", "--json")
        assert done.exit_code == 0, done.stderr
        tally: dict[str, int] = json.loads(done.stdout)
        return tally


@pytest.fixture
def place(payment_url: str, tmp_path: Path, stripe: Stripe) -> Iterator[Place]:
    place = Place(emptied(payment_url), tmp_path, stripe, [])
    yield place
    for app in place.apps:
        app.extensions["close"]()


def pay(app: Flask, key: str = "key-1", user_id: int = 1, **change: Any) -> TestResponse:
    headers = bearer(user_id, **ANN) | {"Idempotency-Key": key}
    return app.test_client().post("/payment", headers=headers, json={**ORDER, **change})


def error_code(answer: TestResponse) -> str:
    return str(answer.json["error"]["code"])


def test_a_payment_is_told_of_with_what_the_receipt_needs(place: Place) -> None:
    app = place.app()
    paid = pay(app, amount=15000, currency="KRW").json
    assert pay(app, amount=15000, currency="KRW").json == paid
    payer = Person(id=1, **ANN)
    assert place.events() == [
        PaymentCompleted(
            payment_id=paid["id"],
            amount=15000,
            currency="krw",
            reference=paid["stripe_id"],
            payer=payer,
        )
    ]
    (charge,) = place.stripe.charges()
    assert (charge["amount"], charge["currency"]) == (15000, "krw")


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("en-GB,ko;q=0.5", "en"),
        ("de,ko;q=0.3", "ko"),
        ("de", "en"),
        ("", "en"),
        ("*", "en"),
    ],
)
def test_the_receipt_is_in_the_language_that_the_client_would_rather_read(
    place: Place, accepted: str, language: str
) -> None:
    headers = bearer(1, **ANN) | {"Idempotency-Key": "k", "Accept-Language": accepted}
    answer = place.app().test_client().post("/payment", headers=headers, json=ORDER)
    assert answer.status_code == 201
    assert [event.payer.language for event in place.events()] == [language]


def test_a_declined_card_is_a_402_and_told_of_to_nobody(place: Place) -> None:
    app = place.app()
    method = "pm_card_chargeDeclinedInsufficientFunds"
    for _ in range(2):
        answer = pay(app, payment_method=method)
        assert (answer.status_code, error_code(answer)) == (402, "card_declined")
        assert answer.json["error"]["decline_code"] == "insufficient_funds"
    assert len(place.stripe.charges()) == 1
    assert place.events() == []


def test_a_crowd_with_one_key_is_charged_once_and_told_of_once(place: Place) -> None:
    app = place.app()
    place.stripe.spoil(latency_s=0.3)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: pay(app), range(8)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {error_code(each) for each in answers if each.status_code == 409} <= {
        "payment_in_progress"
    }
    assert pay(app).status_code == 201
    assert len(place.stripe.charges()) == 1
    assert len(place.events()) == 1


def test_while_stripe_is_away_clients_are_told_so_and_the_reconciler_completes_it_later(
    place: Place,
) -> None:
    app = place.app()
    place.stripe.stop()
    answer = pay(app)
    assert (answer.status_code, error_code(answer)) == (503, "payment_provider_unavailable")
    assert answer.headers["Retry-After"] == "2"
    away = place.command(reconciler.app, "--once")
    assert away.exit_code == 1
    assert "Not all payments" in away.stderr
    place.stripe.start()
    place.change(retry_at=None)  # as if ten seconds had passed
    assert place.reconciled() == {"succeeded": 1, "failed": 0, "waiting": 0}
    assert pay(app).status_code == 201
    assert (len(place.stripe.charges()), len(place.events())) == (1, 1)


def test_an_answer_that_was_lost_for_longer_than_stripe_knows_the_key_is_found_again(
    place: Place,
) -> None:
    pay(place.app(lambda: utc_now() - timedelta(hours=24)))
    place.lose_answers()
    answer = pay(place.app())
    assert (answer.status_code, error_code(answer)) == (409, "payment_unresolved")
    assert place.reconciled() == {"succeeded": 1, "failed": 0, "waiting": 0}
    assert pay(place.app()).status_code == 201
    assert [event.payer for event in place.events()] == [Person(id=1, language="ko", **ANN)]
    assert len(place.stripe.charges()) == 1


def test_a_charge_that_stripe_has_under_the_key_in_other_words_is_found_and_not_made_again(
    place: Place,
) -> None:
    pay(place.app())
    place.lose_answers()
    place.change(payment_method="pm_card_mastercard")
    assert place.reconciled() == {"succeeded": 1, "failed": 0, "waiting": 0}
    assert (len(place.stripe.charges()), len(place.events())) == (1, 1)


@pytest.mark.parametrize(
    ("paid", "status", "events"), [(True, "succeeded", 1), (False, "failed", 0)]
)
def test_a_bank_payment_is_processing_until_the_reconciler_knows_its_end(
    place: Place, paid: bool, status: str, events: int
) -> None:
    app = place.app()
    begun = pay(app, payment_method="pm_usBankAccount_processing")
    assert (begun.status_code, begun.json["status"], place.events()) == (201, "processing", [])
    assert place.reconciled()["waiting"] == 1
    place.stripe.settle(begun.json["stripe_id"], paid=paid)
    place.change(retry_at=None)
    assert place.reconciled()[status] == 1
    repeated = pay(app, payment_method="pm_usBankAccount_processing")
    assert repeated.status_code == (201 if paid else 402)
    assert len(place.events()) == events


def test_two_reconcilers_at_once_share_the_work_and_do_nothing_twice(place: Place) -> None:
    app = place.app()
    for number in range(10):
        pay(app, f"key-{number}")
    place.lose_answers()
    settings = ReconcilerSettings.from_environ(place.environment)
    with opened(settings) as desk, ThreadPoolExecutor(2) as pool:
        both = [Reconciler(desk.repository, desk.charger, utc_now, 30) for _ in range(2)]
        tallies = list(pool.map(lambda each: each.round(), both))
    assert sum(tally.succeeded for tally in tallies) == 10
    assert len(place.stripe.charges()) == len(place.events()) == 10


def test_a_moved_payment_without_its_payer_is_finished_by_its_clients_repeat(
    place: Place,
) -> None:
    app = place.app()
    pay(app)
    place.lose_answers()
    place.change(payer_name=None, payer_email=None, payer_language=None)
    assert place.reconciled() == {"succeeded": 0, "failed": 0, "waiting": 0}
    assert pay(app).status_code == 201
    assert [event.payer.email for event in place.events()] == [ANN["email"]]
    assert len(place.stripe.charges()) == 1


def left_behind(place: Place) -> int:
    """A payment of yesterday that Stripe has, and that nobody has looked for; its id."""
    pay(place.app(lambda: utc_now() - timedelta(hours=24)))
    place.lose_answers()
    (listed,) = json.loads(place.command(unresolved.app, "list", "--json").stdout)
    assert (listed["status"], listed["amount"], listed["stripe_id"]) == ("pending", 1999, None)
    return int(listed["payment"])


def test_a_person_says_which_intent_it_was_and_the_payer_is_told(place: Place) -> None:
    number = str(left_behind(place))
    assert "1 need a person" in place.command(unresolved.app, "list").stdout
    (charge,) = place.stripe.charges()
    other = pay(place.app(), "another").json["stripe_id"]
    wrong = place.command(unresolved.app, "made", number, other)
    assert (wrong.exit_code, "of another payment" in wrong.stderr) == (1, True)
    done = place.command(unresolved.app, "made", number, charge["payment_intent"])
    assert (done.exit_code, done.stdout) == (0, f"Payment {number} succeeded\n")
    assert len(place.events()) == 2
    assert "0 need a person" in place.command(unresolved.app, "list").stdout


def test_a_person_says_that_it_was_not_made_and_the_client_is_told(place: Place) -> None:
    number = str(left_behind(place))
    done = place.command(unresolved.app, "not-made", number)
    assert (done.exit_code, done.stdout) == (0, f"Payment {number} failed\n")
    answer = pay(place.app())
    assert (answer.status_code, error_code(answer)) == (402, "payment_not_made")
    again = place.command(unresolved.app, "not-made", number)
    assert (again.exit_code, "not among those" in again.stderr) == (1, True)
    assert place.events() == []


def test_a_token_counts_by_its_signature_if_it_says_whom_to_write_to(place: Place) -> None:
    app = place.app()
    assert pay(app, user_id=77).status_code == 201
    client, key = app.test_client(), {"Idempotency-Key": "k"}
    for headers in (bearer(1), bearer(0, **ANN), bearer(2**31, **ANN)):
        answer = client.post("/payment", headers=headers | key, json=ORDER)
        assert (answer.status_code, error_code(answer)) == (401, "invalid_token")
    assert len(place.events()) == 1


def test_started_it_sends_its_events_and_its_health_tells_of_those_that_wait(
    place: Place,
) -> None:
    app = place.app()
    broker = open_broker(f"sqlite:///{place.folder / 'events.db'}")
    with closing(broker.consumer(Subscription("mail", ("payment.completed",)))) as consumer:
        assert consumer.receive(0.01) is None
        app.extensions["start"]()
        paid = pay(app).json
        delivery = consumer.receive(30)
        assert delivery is not None
        event = read(delivery.message.body)
        assert (event.type, event.key) == ("payment.completed", f"payment:{paid['id']}")
        consumer.done(delivery)
    told = app.test_client().get("/health").json
    assert (told["status"], told["service"], "outbox" in told["details"]) == ("ok", "payment", True)


@pytest.mark.parametrize("module", ["reconciler", "unresolved"])
def test_a_command_without_its_settings_names_all_that_is_missing(module: str) -> None:
    arguments = ["list"] if module == "unresolved" else ["--once"]
    done = subprocess.run(
        [sys.executable, "-m", f"extracted.payment.{module}", *arguments],
        cwd=ROOT,
        env={"STRIPE_TIMEOUT_S": "soon"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    for name in ("DATABASE_URL", "STRIPE_API_KEY", "STRIPE_TIMEOUT_S"):
        assert name in done.stderr
    assert "Traceback" not in done.stderr
