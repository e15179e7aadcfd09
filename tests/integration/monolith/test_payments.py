"""One charge for each (user, key), on every database, whatever happens between the steps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from monolith.clock import utc_now
from monolith.errors import ApiError
from monolith.models import Payment, User
from monolith.payments.charging import Charge, Charged, Refused, UnknownOutcomeError
from monolith.payments.paying import Order, Payments

Sessions = sessionmaker[Session]


@dataclass
class FakeCharger:
    """Keeps Stripe's promise: one charge for each key. `before` runs first, and may raise."""

    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    refusal: Refused | None = None
    charged: dict[str, Charge] = field(default_factory=dict)
    asked: int = 0

    def charge(self, charge: Charge) -> Charged | Refused:
        self.asked += 1
        self.before()
        if self.refusal:
            return self.refusal
        self.charged.setdefault(charge.key, charge)
        self.after()
        return Charged(f"pi_{charge.key[-12:]}", "succeeded")


class Clock:
    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def user_id(sessions: Sessions) -> int:
    with sessions() as session:
        user = User(email="payer@x.org", name="P", password_hash="", created_at=utc_now())
        session.add(user)
        session.commit()
        return user.id


@pytest.fixture
def order(user_id: int, request: pytest.FixtureRequest) -> Order:
    return Order(user_id, f"key-{request.node.name}", 1999, "usd", "pm_card_visa")


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


class KilledError(BaseException):
    """Stands for the end of the process: no handler of the application runs."""


def outage() -> UnknownOutcomeError:
    return UnknownOutcomeError("connection refused", reached=False)


def pay(sessions: Sessions, payments: Payments, order: Order) -> tuple[int, str | None]:
    with sessions() as session:
        paid = payments.pay(session, order)
        return paid.payment.id, paid.payment.stripe_id


def refused(sessions: Sessions, payments: Payments, order: Order) -> ApiError:
    with sessions() as session, pytest.raises(ApiError) as caught:
        payments.pay(session, order)
    return caught.value


def rows(sessions: Sessions, order: Order) -> list[Payment]:
    with sessions() as session:
        query = select(Payment).where(Payment.idempotency_key == order.key)
        return list(session.scalars(query))


def test_a_repeat_gives_the_same_answer_and_charges_once(sessions: Sessions, order: Order) -> None:
    charger = FakeCharger()
    payments = Payments(charger, utc_now, lease_s=30)
    first = pay(sessions, payments, order)
    assert pay(sessions, payments, order) == first
    assert charger.asked == 1


def test_keys_differ_by_case_and_by_user(sessions: Sessions, order: Order) -> None:
    charger = FakeCharger()
    payments = Payments(charger, utc_now, lease_s=30)
    assert pay(sessions, payments, order) != pay(
        sessions, payments, replace(order, key=order.key.upper())
    )
    assert len(charger.charged) == 2


@pytest.mark.parametrize(
    "change", [{"amount": 2000}, {"currency": "eur"}, {"payment_method": "pm_other"}]
)
def test_a_key_belongs_to_one_order(
    sessions: Sessions, order: Order, change: dict[str, object]
) -> None:
    charger = FakeCharger()
    payments = Payments(charger, utc_now, lease_s=30)
    pay(sessions, payments, order)
    error = refused(sessions, payments, replace(order, **change))
    assert (error.status, error.code) == (409, "idempotency_key_reused")
    assert charger.asked == 1


def test_a_declined_card_is_told_again_without_asking_again(
    sessions: Sessions, order: Order
) -> None:
    charger = FakeCharger(refusal=Refused(True, "card_declined", "No.", "insufficient_funds"))
    payments = Payments(charger, utc_now, lease_s=30)
    answers = [refused(sessions, payments, order) for _ in range(2)]
    for error in answers:
        assert (error.status, error.code, error.message) == (402, "card_declined", "No.")
        assert error.details == {"decline_code": "insufficient_funds"}
    assert charger.asked == 1


def test_an_outage_leaves_the_payment_repeatable_at_once(sessions: Sessions, order: Order) -> None:
    charger = FakeCharger(before=failing(outage()))
    payments = Payments(charger, utc_now, lease_s=30)
    error = refused(sessions, payments, order)
    assert (error.status, error.code) == (503, "payment_provider_unavailable")
    assert [row.status for row in rows(sessions, order)] == ["pending"]
    charger.before = lambda: None
    pay(sessions, payments, order)
    assert [row.status for row in rows(sessions, order)] == ["succeeded"]


def test_an_answer_lost_after_the_charge_is_recovered_with_the_same_key(
    sessions: Sessions, order: Order
) -> None:
    charger = FakeCharger(after=failing(outage()))
    payments = Payments(charger, utc_now, lease_s=30)
    refused(sessions, payments, order)
    charger.after = lambda: None
    pay(sessions, payments, order)
    assert len(charger.charged) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_death_around_the_charge_is_taken_over_when_its_lease_ends(
    sessions: Sessions, order: Order, moment: str
) -> None:
    charger = FakeCharger(**{moment: failing(KilledError())})
    clock = Clock()
    payments = Payments(charger, clock, lease_s=30)
    with sessions() as session, pytest.raises(KilledError):
        payments.pay(session, order)
    assert [row.status for row in rows(sessions, order)] == ["pending"]

    setattr(charger, moment, lambda: None)
    error = refused(sessions, payments, order)
    assert (error.status, error.code) == (409, "payment_in_progress")
    assert error.headers == {"Retry-After": "1"}

    clock.now += timedelta(seconds=30)
    first = pay(sessions, payments, order)
    assert pay(sessions, payments, order) == first
    assert len(charger.charged) == 1
    assert len(rows(sessions, order)) == 1


def test_an_attempt_that_was_paused_past_its_lease_does_not_end_the_payment_a_second_time(
    sessions: Sessions, order: Order
) -> None:
    charger = FakeCharger()
    clock = Clock()
    payments = Payments(charger, clock, lease_s=30)
    overtaking: list[bool] = []

    def overtake() -> None:
        charger.after = lambda: None
        clock.now += timedelta(seconds=31)
        with sessions() as session:
            overtaking.append(payments.pay(session, order).first)

    charger.after = overtake
    with sessions() as session:
        paid = payments.pay(session, order)
        assert (paid.first, paid.payment.status) == (False, "succeeded")
    assert overtaking == [True]
    assert [row.finished_at for row in rows(sessions, order)] == [clock.now]


def test_a_payment_older_than_stripes_memory_is_not_charged_again(
    sessions: Sessions, order: Order
) -> None:
    charger = FakeCharger(before=failing(outage()))
    clock = Clock()
    payments = Payments(charger, clock, lease_s=30)
    refused(sessions, payments, order)
    clock.now += timedelta(hours=24)
    charger.before = lambda: None
    assert refused(sessions, payments, order).code == "payment_unresolved"
    assert charger.charged == {}


def test_concurrent_repeats_charge_once_and_agree(sessions: Sessions, order: Order) -> None:
    release = threading.Event()
    entered = threading.Event()

    def hold() -> None:
        entered.set()
        assert release.wait(20)

    charger = FakeCharger(before=hold)
    payments = Payments(charger, utc_now, lease_s=30)
    with ThreadPoolExecutor(9) as pool:
        winner = pool.submit(pay, sessions, payments, order)
        assert entered.wait(20)
        losers = [pool.submit(refused, sessions, payments, order) for _ in range(8)]
        codes = [each.result(20).code for each in losers]
        release.set()
        first = winner.result(20)
    assert codes == ["payment_in_progress"] * 8
    assert pay(sessions, payments, order) == first
    assert charger.asked == 1


def test_a_crowd_on_one_key_is_charged_once(sessions: Sessions, order: Order) -> None:
    start = threading.Barrier(8)
    charger = FakeCharger()
    payments = Payments(charger, utc_now, lease_s=30)

    def attempt() -> object:
        start.wait(20)
        try:
            return pay(sessions, payments, order)
        except ApiError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        results = [each.result(30) for each in [pool.submit(attempt) for _ in range(8)]]
    paid = {result for result in results if isinstance(result, tuple)}
    assert len(paid) == 1
    assert {result for result in results if result not in paid} <= {"payment_in_progress"}
    assert charger.asked == 1
    assert len(rows(sessions, order)) == 1


def test_a_crowd_after_a_death_has_one_taker(sessions: Sessions, order: Order) -> None:
    charger = FakeCharger(before=failing(KilledError()))
    clock = Clock()
    payments = Payments(charger, clock, lease_s=30)
    with sessions() as session, pytest.raises(KilledError):
        payments.pay(session, order)
    clock.now += timedelta(seconds=31)
    release = threading.Event()
    charger.asked, charger.before = 0, lambda: assert_set(release)

    def attempt() -> str:
        try:
            pay(sessions, payments, order)
        except ApiError as error:
            return error.code
        return "paid"

    with ThreadPoolExecutor(6) as pool:
        attempts = [pool.submit(attempt) for _ in range(6)]
        release.set()
        results = sorted(each.result(30) for each in attempts)
    assert charger.asked == 1
    assert set(results) <= {"paid", "payment_in_progress"}
    assert "paid" in results


def assert_set(event: threading.Event) -> None:
    assert event.wait(20)
