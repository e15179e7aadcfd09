"""One charge and one event for each (user, key), whatever happens between the steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from extracted.chassis.events.payloads import PaymentCompleted, Person
from extracted.payment.charging import Refused, stripe_key
from extracted.payment.service import NotPaidError, Order, Payment, Payments, RefusedError
from monolith.payments.charging import stripe_key as monolith_key
from monolith.payments.paying import Order as MonolithOrder
from tests.payments_in_memory import (
    ANN,
    ORDER,
    FakeStripe,
    KilledError,
    MemoryPayments,
    SetClock,
    failing,
    fault,
    outage,
)

DECLINED = Refused(True, "card_declined", "No.", "insufficient_funds", "pi_no")


@pytest.fixture
def repository() -> MemoryPayments:
    return MemoryPayments()


@pytest.fixture
def stripe() -> FakeStripe:
    return FakeStripe()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def payments(repository: MemoryPayments, stripe: FakeStripe, clock: SetClock) -> Payments:
    return Payments(repository, stripe, clock, lease_s=30)


def refused(payments: Payments, order: Order = ORDER) -> NotPaidError:
    with pytest.raises(NotPaidError) as caught:
        payments.pay(order, ANN)
    return caught.value


def kept(repository: MemoryPayments) -> Payment:
    (payment,) = repository.kept.values()
    return payment


def test_a_payment_is_told_of_once_and_its_payer_forgotten(
    payments: Payments, repository: MemoryPayments, stripe: FakeStripe
) -> None:
    first = payments.pay(ORDER, ANN)
    assert payments.pay(ORDER, ANN) == first == kept(repository)
    assert (first.status, first.payer, first.lease_until) == ("succeeded", None, None)
    assert stripe.asked == 1
    (event,) = repository.events
    assert event.occurred_at == first.finished_at
    assert event.payload == PaymentCompleted(
        payment_id=1, amount=1999, currency="usd", reference=first.stripe_id or "", payer=ANN
    )


def test_the_keys_and_the_charge_at_stripe_are_the_monoliths() -> None:
    for user_id, key in ((1, "x"), (12, "3:x"), (1, "X" * 255)):
        assert stripe_key(user_id, key) == monolith_key(user_id, key)
    theirs = MonolithOrder(1, "key-1", 1999, "usd", "pm_card_visa")
    assert ORDER.fingerprint == theirs.fingerprint


@pytest.mark.parametrize(
    "change", [{"amount": 2000}, {"currency": "eur"}, {"payment_method": "pm_other"}]
)
def test_a_key_belongs_to_one_order(
    payments: Payments, stripe: FakeStripe, change: dict[str, object]
) -> None:
    payments.pay(ORDER, ANN)
    assert refused(payments, replace(ORDER, **change)).code == "idempotency_key_reused"
    assert stripe.asked == 1


def test_a_declined_card_is_told_again_without_asking_again_and_nobody_gets_a_receipt(
    payments: Payments, repository: MemoryPayments, stripe: FakeStripe
) -> None:
    stripe.refusal = DECLINED
    for _ in range(2):
        with pytest.raises(RefusedError) as caught:
            payments.pay(ORDER, ANN)
        assert caught.value.refusal == {
            "status": 402,
            "code": "card_declined",
            "decline_code": "insufficient_funds",
            "message": "No.",
        }
    assert (kept(repository).status, kept(repository).stripe_id) == ("failed", "pi_no")
    assert (stripe.asked, repository.events) == (1, [])


@pytest.mark.parametrize(
    ("error", "code"),
    [(outage(), "payment_provider_unavailable"), (fault(), "payment_provider_error")],
)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_unknown_outcome_may_be_repeated_at_once_and_charges_once(
    payments: Payments,
    repository: MemoryPayments,
    stripe: FakeStripe,
    moment: str,
    error: Exception,
    code: str,
) -> None:
    setattr(stripe, moment, failing(error))
    not_paid = refused(payments)
    assert (not_paid.code, not_paid.retry_after_s) == (code, 2)
    assert (kept(repository).status, kept(repository).payer) == ("pending", ANN)
    setattr(stripe, moment, lambda: None)
    assert payments.pay(ORDER, ANN).status == "succeeded"
    assert (len(stripe.charged), len(repository.events)) == (1, 1)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_death_around_the_charge_is_taken_over_when_its_lease_ends(
    payments: Payments,
    repository: MemoryPayments,
    stripe: FakeStripe,
    clock: SetClock,
    moment: str,
) -> None:
    setattr(stripe, moment, failing(KilledError()))
    with pytest.raises(KilledError):
        payments.pay(ORDER, ANN)
    setattr(stripe, moment, lambda: None)
    clock.pass_(seconds=29)
    assert (refused(payments).code, refused(payments).retry_after_s) == ("payment_in_progress", 1)
    clock.pass_(seconds=1)
    assert payments.pay(ORDER, ANN).status == "succeeded"
    assert (len(stripe.charged), len(repository.events)) == (1, 1)


def test_who_repeats_is_the_payer_from_then_on(
    payments: Payments, repository: MemoryPayments, stripe: FakeStripe
) -> None:
    stripe.before = failing(outage())
    refused(payments)
    stripe.before = lambda: None
    renamed = Person(id=1, name="Anna", email="ann@example.org")
    payments.pay(ORDER, renamed)
    assert [event.payload.payer for event in repository.events] == [renamed]


def test_a_payment_older_than_stripes_memory_is_not_charged_again(
    payments: Payments, repository: MemoryPayments, stripe: FakeStripe, clock: SetClock
) -> None:
    stripe.before = failing(outage())
    refused(payments)
    clock.pass_(hours=23, seconds=1)
    stripe.before = lambda: None
    assert refused(payments).code == "payment_unresolved"
    assert (stripe.charged, repository.events) == ({}, [])


def test_an_answer_that_comes_after_another_worker_has_finished_changes_and_tells_nothing(
    payments: Payments, repository: MemoryPayments, stripe: FakeStripe, clock: SetClock
) -> None:
    def overtaken() -> None:
        stripe.after = lambda: None
        clock.pass_(seconds=31)
        payments.pay(ORDER, ANN)

    stripe.after = overtaken
    late = payments.pay(ORDER, ANN)
    assert late == kept(repository)
    assert (len(stripe.charged), len(repository.events)) == (1, 1)


def test_an_outage_met_after_the_lease_has_passed_on_does_not_free_it(
    payments: Payments, repository: MemoryPayments, stripe: FakeStripe, clock: SetClock
) -> None:
    def overtaken() -> None:
        clock.pass_(seconds=31)
        stripe.before = failing(KilledError())
        with pytest.raises(KilledError):
            payments.pay(ORDER, ANN)
        raise outage()

    stripe.before = overtaken
    refused(payments)
    stripe.before = lambda: None
    assert kept(repository).lease_until is not None
    assert refused(payments).code == "payment_in_progress"


def test_what_stripe_has_but_does_not_know_yet_is_told_of_by_nobody_yet(
    payments: Payments, repository: MemoryPayments, stripe: FakeStripe
) -> None:
    stripe.status = "processing"
    assert payments.pay(ORDER, ANN).status == "processing"
    assert payments.pay(ORDER, ANN).status == "processing"
    assert (kept(repository).payer, repository.events, stripe.asked) == (ANN, [], 1)


@pytest.mark.parametrize("status", ["requires_action", "requires_capture", "canceled"])
def test_what_stripe_has_not_decided_is_answered_as_unknown_and_stays_pending(
    payments: Payments, repository: MemoryPayments, stripe: FakeStripe, status: str
) -> None:
    stripe.status = status
    assert refused(payments).code == "payment_provider_error"
    payment = kept(repository)
    assert (payment.status, payment.payer, payment.lease_until) == ("pending", ANN, None)
    stripe.status = "succeeded"
    assert payments.pay(ORDER, ANN).status == "succeeded"
    assert len(repository.events) == 1
