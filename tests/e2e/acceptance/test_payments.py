from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.e2e.acceptance.conftest import Account, Blog

ORDER = {"amount": 1999, "currency": "usd", "payment_method": "pm_card_visa"}


@pytest.fixture
def ann(blog: Blog) -> Account:
    return blog.account("Ann")


def pay(blog: Blog, payer: Account, key: str | None, **change: object) -> requests.Response:
    headers = {**payer.headers, **({"Idempotency-Key": key} if key is not None else {})}
    return blog.ask("POST", "/payment", json={**ORDER, **change}, headers=headers)


def payments(blog: Blog, payer: Account) -> list[dict[str, object]]:
    found: list[dict[str, object]] = blog.ask("GET", "/payments", headers=payer.headers).json()[
        "payments"
    ]
    return found


def test_a_payment_is_made_once_and_told_again(blog: Blog, ann: Account) -> None:
    key = uuid.uuid4().hex
    answers = [pay(blog, ann, key) for _ in range(3)]
    assert [each.status_code for each in answers] == [201] * 3
    paid = answers[0].json()
    assert all(each.json() == paid for each in answers)
    assert set(paid) == {"id", "status", "amount", "currency", "stripe_id", "created_at"}
    assert (paid["status"], paid["amount"], paid["currency"]) == ("succeeded", 1999, "usd")
    assert payments(blog, ann) == [paid]
    assert blog.ask("GET", f"/payments/{paid['id']}", headers=ann.headers).json() == paid
    message = blog.mail_to(ann.email)
    assert message["Subject"] == "Receipt for 19.99 USD"


def test_a_key_is_needed_and_is_of_one_order(blog: Blog, ann: Account) -> None:
    for key, code in ((None, "missing"), ("x" * 256, "invalid"), ("two words", "invalid")):
        answer = pay(blog, ann, key)
        found = (answer.status_code, answer.json()["error"]["code"])
        assert found == (400, f"idempotency_key_{code}")
    key = uuid.uuid4().hex
    assert pay(blog, ann, key).status_code == 201
    answer = pay(blog, ann, key, amount=2000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "idempotency_key_reused")
    assert len(payments(blog, ann)) == 1


def test_keys_are_of_one_user(blog: Blog, ann: Account) -> None:
    bob, key = blog.account("Bob"), uuid.uuid4().hex
    ids = [pay(blog, payer, key).json()["stripe_id"] for payer in (ann, bob)]
    assert ids[0] != ids[1]


def test_a_declined_card_is_a_402_each_time(blog: Blog, ann: Account) -> None:
    key, method = uuid.uuid4().hex, "pm_card_chargeDeclinedInsufficientFunds"
    answers = [pay(blog, ann, key, payment_method=method) for _ in range(2)]
    for answer in answers:
        assert answer.status_code == 402
        assert answer.json()["error"]["code"] == "card_declined"
        assert answer.json()["error"]["decline_code"] == "insufficient_funds"
    assert answers[0].json() == answers[1].json()
    assert [each["status"] for each in payments(blog, ann)] == ["failed"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"payment_method": "pm_card_authenticationRequired"}, 402, "authentication_required"),
        ({"payment_method": "pm_nope"}, 400, "resource_missing"),
        ({"amount": 1}, 400, "amount_too_small"),
        ({"currency": "xyz"}, 400, "invalid_request"),
    ],
)
def test_what_stripe_refuses_is_refused_with_its_code_each_time(
    blog: Blog, ann: Account, change: dict[str, object], status: int, code: str
) -> None:
    key = uuid.uuid4().hex
    answers = [pay(blog, ann, key, **change) for _ in range(2)]
    told = [(each.status_code, each.json()["error"]["code"]) for each in answers]
    assert told == [(status, code)] * 2
    assert [each["status"] for each in payments(blog, ann)] == ["failed"]


def test_zero_decimal_currencies_are_charged_as_they_are(blog: Blog, ann: Account) -> None:
    paid = pay(blog, ann, uuid.uuid4().hex, amount=500, currency="JPY").json()
    assert (paid["amount"], paid["currency"]) == (500, "jpy")
    assert blog.mail_to(ann.email)["Subject"] == "Receipt for 500 JPY"


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 0},
        {"amount": -5},
        {"amount": 19.99},
        {"amount": "1999"},
        {"amount": True},
        {"amount": 100_000_000},
        {"amount": 1001, "currency": "kwd"},
        {"currency": "dollars"},
        {"currency": "1$"},
        {"payment_method": None},
        {"payment_method": "pm card"},
    ],
)
def test_a_wrong_order_is_refused_before_anything_is_recorded(
    blog: Blog, ann: Account, change: dict[str, object]
) -> None:
    answer = pay(blog, ann, uuid.uuid4().hex, **change)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")
    assert payments(blog, ann) == []


def test_payments_are_seen_by_their_payer_alone(blog: Blog, ann: Account) -> None:
    bob = blog.account("Bob")
    paid = pay(blog, ann, uuid.uuid4().hex).json()
    path = f"/payments/{paid['id']}"
    assert blog.ask("GET", path).status_code == 401
    assert blog.ask("GET", path, headers=bob.headers).status_code == 404
    assert payments(blog, bob) == []


def test_a_crowd_with_one_key_pays_once(blog: Blog, ann: Account) -> None:
    key = uuid.uuid4().hex

    def attempt(_: int) -> requests.Response:
        headers = {**ann.headers, "Idempotency-Key": key}
        return requests.post(f"{blog.url}/payment", json=ORDER, headers=headers, timeout=30)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attempt, range(8)))
    assert {each.status_code for each in answers} <= {201, 409}
    assert len({each.json()["stripe_id"] for each in answers if each.status_code == 201}) == 1
    assert len(payments(blog, ann)) == 1
    assert pay(blog, ann, key).status_code == 201
