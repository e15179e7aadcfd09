"""The service answers as the monolith does, to the byte: both are asked the same, side by side.

They have the same Stripe account, so that each payment is begun in the monolith and repeated here:
the double charges it once, and refuses a key that comes with anything else.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import MetaData, Table, insert
from werkzeug.test import TestResponse

from extracted.chassis.clock import utc_now
from extracted.chassis.database import open_engine
from extracted.chassis.schema import upgrade
from extracted.payment.app import create_app
from monolith.app import create_app as create_monolith
from monolith.db import upgrade as upgrade_monolith
from monolith.payments.paying import Order
from scripts.processes import Fleet
from tests.blog import bearer, settings
from tests.integration.payment.conftest import API_KEY, Stripe, payment_settings

ANN = {"name": "Ann", "email": "ann@example.org"}
BOB = {"name": "Bob", "email": "bob@example.org"}
ORDER = {"amount": 1999, "currency": "usd", "payment_method": "pm_card_visa"}
TOLD = ("Content-Type", "Retry-After", "WWW-Authenticate", "Allow")
NOW = utc_now()


@dataclass
class Pair:
    """Both, each over a database of its own, and the one Stripe."""

    monolith: FlaskClient
    service: FlaskClient
    urls: tuple[str, str]
    stripe: Stripe

    def ask(self, method: str, path: str, **more: Any) -> TestResponse:
        """The answer, which is the same from both."""
        theirs = self.monolith.open(path, method=method, **more)
        ours = self.service.open(path, method=method, **more)
        assert ours.status_code == theirs.status_code
        assert ours.data == theirs.data
        assert _headers(ours) == _headers(theirs)
        return ours

    def pay(self, key: str | None, order: dict[str, Any] = ORDER, **more: Any) -> TestResponse:
        headers = bearer(1, **ANN) | ({} if key is None else {"Idempotency-Key": key})
        return self.ask("POST", "/payment", headers=headers, json=order, **more)

    def has(self, **row: Any) -> None:
        """Put the same row into both, of the monolith's columns."""
        for url in self.urls:
            engine = open_engine(url)
            with engine.begin() as connection:
                table = Table("payments", MetaData(), autoload_with=connection)
                connection.execute(insert(table).values(row))
            engine.dispose()


def _headers(answer: TestResponse) -> dict[str, str | None]:
    return {name: answer.headers.get(name) for name in TOLD}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder: Path = tmp_path_factory.mktemp("pair")
    urls = (f"sqlite:///{folder / 'blog.db'}", f"sqlite:///{folder / 'payment.db'}")
    upgrade_monolith(urls[0])
    upgrade(urls[1], "payment")
    with Fleet(folder / "logs") as fleet:
        stripe = Stripe(fleet, folder / "stripe")
        stripe.start()
        at_stripe = {"stripe_api_key": API_KEY, "stripe_api_base": stripe.url}
        apps = [
            create_monolith(settings(urls[0], smtp_timeout_s=1, **at_stripe), lambda: NOW),
            create_app(payment_settings(urls[1], folder, **at_stripe), lambda: NOW),
        ]
        for account in (ANN, BOB):
            account = account | {"password": secrets.token_hex(8)}
            assert apps[0].test_client().post("/register", json=account).status_code == 201
        yield Pair(apps[0].test_client(), apps[1].test_client(), urls, stripe)
        for app in apps:
            app.extensions["close"]()


def test_a_payment_begun_there_and_repeated_here_is_charged_once(pair: Pair) -> None:
    paid = pair.pay("once")
    assert (paid.status_code, paid.json["status"]) == (201, "succeeded")
    assert pair.pay("once").json == paid.json
    assert len(pair.stripe.charges_of(paid.json["id"])) == 1


@pytest.mark.parametrize(
    ("amount", "currency"), [(500, "JPY"), (15000, "krw"), (1230, "kwd"), (500, " isk ")]
)
def test_amounts_are_charged_as_they_are_in_any_currency(
    pair: Pair, amount: int, currency: str
) -> None:
    order = {**ORDER, "amount": amount, "currency": currency}
    paid = pair.pay(f"in {currency}".replace(" ", "-"), order).json
    (charge,) = pair.stripe.charges_of(paid["id"])
    wanted = (amount, currency.strip().lower())
    assert (charge["amount"], charge["currency"]) == (paid["amount"], paid["currency"]) == wanted


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"payment_method": "pm_card_chargeDeclined"}, 402, "card_declined"),
        ({"payment_method": "pm_card_chargeDeclinedInsufficientFunds"}, 402, "card_declined"),
        ({"payment_method": "pm_card_chargeDeclinedExpiredCard"}, 402, "expired_card"),
        ({"payment_method": "pm_card_authenticationRequired"}, 402, "authentication_required"),
        ({"payment_method": "pm_nope"}, 400, "resource_missing"),
        ({"payment_method": "no_such_method"}, 400, "resource_missing"),
        ({"amount": 1}, 400, "amount_too_small"),
        ({"currency": "xyz"}, 400, "invalid_request"),
    ],
)
def test_what_stripe_refuses_is_refused_with_its_code_each_time(
    pair: Pair, change: dict[str, Any], status: int, code: str
) -> None:
    key = f"refused-{next(iter(change.values()))}"
    for _ in range(2):
        answer = pair.pay(key, {**ORDER, **change})
        assert (answer.status_code, answer.json["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 2000},
        {"currency": "eur"},
        {"payment_method": "pm_card_mastercard"},
    ],
)
def test_a_key_of_another_order_is_refused(pair: Pair, change: dict[str, Any]) -> None:
    pair.pay("mine")
    assert pair.pay("mine", {**ORDER, **change}).status_code == 409


BAD_ORDERS: list[Any] = [
    {},
    [],
    "text",
    {**ORDER, "amount": None},
    {**ORDER, "amount": 0},
    {**ORDER, "amount": -5},
    {**ORDER, "amount": 19.99},
    {**ORDER, "amount": 1999.0},
    {**ORDER, "amount": "1999"},
    {**ORDER, "amount": True},
    {**ORDER, "amount": 100_000_000},
    {**ORDER, "amount": 10**30},
    {**ORDER, "amount": 1001, "currency": "kwd"},
    {**ORDER, "amount": 150, "currency": "UGX"},
    {**ORDER, "currency": "dollars"},
    {**ORDER, "currency": "1$"},
    {**ORDER, "currency": "us"},
    {**ORDER, "currency": "€€€"},
    {**ORDER, "currency": ""},
    {**ORDER, "currency": 5},
    {**ORDER, "payment_method": None},
    {**ORDER, "payment_method": "pm card"},
    {**ORDER, "payment_method": "p" * 101},
    {**ORDER, "payment_method": "pm_\0"},
    {"amount": "x", "currency": "x", "payment_method": " "},
]


@pytest.mark.parametrize("order", BAD_ORDERS)
def test_a_wrong_order_is_refused_in_the_same_words(pair: Pair, order: Any) -> None:
    assert pair.pay("bad", order).status_code == 400


@pytest.mark.parametrize("key", [None, "", "two words", "x" * 256, "schlüssel", " padded"])
def test_a_wrong_key_is_refused_in_the_same_words(pair: Pair, key: str | None) -> None:
    answer = pair.pay(key)
    wanted = "idempotency_key_invalid" if key else "idempotency_key_missing"
    assert (answer.status_code, answer.json["error"]["code"]) == (400, wanted)


@pytest.mark.parametrize(
    "sent",
    [
        {"data": "{", "content_type": "application/json"},
        {"data": "null", "content_type": "application/json"},
        {"data": b"\xff\xfe{}", "content_type": "application/json"},
        {"data": "[" * 100_000, "content_type": "application/json"},
        {"data": "{}", "content_type": "text/plain"},
        {"data": {"amount": "5"}},
        {"data": b"{" + b" " * 2**20 + b"}", "content_type": "application/json"},
    ],
)
def test_what_is_no_json_is_refused_in_the_same_words(pair: Pair, sent: dict[str, Any]) -> None:
    headers = bearer(1, **ANN) | {"Idempotency-Key": "k"}
    assert pair.ask("POST", "/payment", headers=headers, **sent).status_code >= 400


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "Bearer garbage"},
        bearer(1, secret="y" * 40, **ANN),
        bearer(1, lives_s=-1, **ANN),
        bearer(99),
    ],
)
@pytest.mark.parametrize("path", ["/payment", "/payments", "/payments/1"])
def test_who_may_not_is_told_so_in_the_same_words(
    pair: Pair, path: str, headers: dict[str, str]
) -> None:
    method = "POST" if path == "/payment" else "GET"
    sent: dict[str, Any] = {"json": ORDER} if method == "POST" else {}
    pair.ask(method, path, headers=headers | {"Idempotency-Key": "k"}, **sent)


@pytest.mark.parametrize(
    "query",
    ["", "?page=2", "?per_page=1", "?page=1&per_page=2", "?page=0", "?per_page=101", "?page=x"],
)
def test_lists_are_told_alike(pair: Pair, query: str) -> None:
    pair.pay("listed")
    for user, claims in ((1, ANN), (2, BOB)):
        pair.ask("GET", f"/payments{query}", headers=bearer(user, **claims))


def test_one_payment_is_told_to_its_payer_and_to_nobody_else(pair: Pair) -> None:
    number = pair.pay("shown").json["id"]
    assert pair.ask("GET", f"/payments/{number}", headers=bearer(1)).status_code == 200
    assert pair.ask("GET", f"/payments/{number}", headers=bearer(2)).status_code == 404


@pytest.mark.parametrize("number", ["0", "999999", str(2**31), str(10**30), "-1", "x", ""])
def test_what_is_no_payment_is_not_found(pair: Pair, number: str) -> None:
    path = f"/payments/{number}"
    assert pair.ask("GET", path, headers=bearer(1)).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/payment"), ("DELETE", "/payments"), ("PUT", "/payments/1"), ("HEAD", "/payments")],
)
def test_other_methods_are_answered_alike(pair: Pair, method: str, path: str) -> None:
    pair.ask(method, path, headers=bearer(1))


def row(key: str, **change: Any) -> dict[str, Any]:
    """A row as the monolith leaves it, of the order ORDER."""
    fingerprint = Order(1, key, 1999, "usd", "pm_card_visa").fingerprint
    return {
        "user_id": 1,
        "idempotency_key": key,
        "fingerprint": fingerprint,
        "amount": 1999,
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "status": "pending",
        "created_at": naive(NOW),
    } | change


def naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


REFUSAL = {"status": 402, "code": "card_declined", "decline_code": "lost_card", "message": "Nö."}
MOVED = {
    "left behind by a death": ({"lease_until": naive(NOW)}, 201, None),
    "released": ({}, 201, None),
    "in progress": (
        {"lease_until": naive(NOW + timedelta(seconds=1))},
        409,
        "payment_in_progress",
    ),
    "too old": ({"created_at": naive(NOW - timedelta(hours=24))}, 409, "payment_unresolved"),
    "processing": ({"status": "processing", "stripe_id": "pi_p"}, 201, None),
    "succeeded": ({"status": "succeeded", "stripe_id": "pi_s"}, 201, None),
    "declined": ({"status": "failed", "refusal": REFUSAL}, 402, "card_declined"),
}


@pytest.mark.parametrize("kind", MOVED)
def test_a_moved_row_is_gone_on_with_as_in_the_monolith(pair: Pair, kind: str) -> None:
    change, status, code = MOVED[kind]
    key = f"moved-{kind}".replace(" ", "-")
    pair.has(**row(key, **change))
    answer = pair.pay(key)
    assert answer.status_code == status
    assert code is None or answer.json["error"]["code"] == code
    pair.ask("GET", "/payments", headers=bearer(1))


def test_faults_of_stripe_are_told_alike_and_leave_the_payment_repeatable(pair: Pair) -> None:
    pair.stripe.spoil(fail_next=4, failure="drop_before")  # each tries twice
    assert pair.pay("dropped").status_code == 503
    assert pair.pay("dropped").status_code == 201
    pair.stripe.spoil(fail_next=1, failure="error_500")  # saved under the key, for both
    assert pair.pay("broken").status_code == 502
    assert pair.pay("broken").status_code == 502
