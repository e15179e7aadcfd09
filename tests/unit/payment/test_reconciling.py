"""Payments that no client repeats come to their end, or to a person, and are charged once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from extracted.payment.charging import Charge, Charged, Outcome, Refused, UnknownOutcomeError
from extracted.payment.reconciling import AT_ONCE, Reconciler, Tally, patience
from extracted.payment.service import NotPaidError, Payments
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


class World:
    """A service and its reconciler over one repository, one Stripe and one clock."""

    def __init__(self) -> None:
        self.repository = MemoryPayments()
        self.stripe = FakeStripe()
        self.clock = SetClock()
        parts = (self.repository, self.stripe, self.clock, 30.0)
        self.payments = Payments(*parts)
        self.reconciler = Reconciler(*parts)

    def begin(self, moment: str, key: str = "key-1") -> None:
        """A payment whose process dies before or after the charge, and is not repeated."""
        setattr(self.stripe, moment, failing(KilledError()))
        with pytest.raises(KilledError):
            self.payments.pay(replace(ORDER, key=key), ANN)
        setattr(self.stripe, moment, lambda: None)

    def statuses(self) -> list[str]:
        return [payment.status for payment in self.repository.kept.values()]


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_died_around_its_charge_is_finished_when_its_lease_is_over(
    world: World, moment: str
) -> None:
    world.begin(moment)
    assert world.reconciler.round() == Tally()
    world.clock.pass_(seconds=30)
    assert world.reconciler.round() == Tally(succeeded=1)
    assert world.reconciler.round() == Tally()
    assert (len(world.stripe.charged), len(world.repository.events)) == (1, 1)
    assert world.payments.pay(ORDER, ANN).status == "succeeded"
    assert len(world.repository.events) == 1


def test_a_card_declined_meanwhile_has_failed_and_is_told_so_on_a_repeat(world: World) -> None:
    world.begin("before")
    world.clock.pass_(seconds=30)
    world.stripe.refusal = Refused(True, "card_declined", "No.")
    assert world.reconciler.round() == Tally(failed=1)
    assert (world.statuses(), world.repository.events) == (["failed"], [])


def test_while_stripe_is_away_the_round_ends_and_everything_stays_due(world: World) -> None:
    for number in range(3):
        world.begin("before", f"key-{number}")
    world.clock.pass_(seconds=30)
    world.stripe.asked, world.stripe.before = 0, failing(outage())
    with pytest.raises(UnknownOutcomeError):
        world.reconciler.round()
    assert world.stripe.asked == 1
    world.stripe.before = lambda: None
    world.clock.pass_(seconds=10)
    assert world.reconciler.round() == Tally(succeeded=3)


def test_a_payment_that_stripe_never_answers_in_time_does_not_hold_up_those_behind_it(
    world: World,
) -> None:
    world.begin("before", "slow")
    for number in range(3):
        world.begin("before", f"key-{number}")
    world.clock.pass_(seconds=30)
    charge = world.stripe.charge

    def slow_for_one(asked: Charge) -> Outcome:
        if asked.metadata["payment_id"] == "1":
            raise outage()
        return charge(asked)

    world.stripe.charge = slow_for_one  # type: ignore[method-assign]
    with pytest.raises(UnknownOutcomeError):
        world.reconciler.round()
    assert world.reconciler.round() == Tally(succeeded=3)
    assert world.statuses() == ["pending", "succeeded", "succeeded", "succeeded"]


def test_what_stripe_made_before_a_fault_that_it_repeats_under_the_key_is_found(
    world: World,
) -> None:
    world.begin("after")
    world.clock.pass_(seconds=30)
    faulty: Callable[[Charge], Outcome] = lambda _: failing(fault())()  # type: ignore[func-returns-value]  # noqa: E731
    world.stripe.charge = faulty  # type: ignore[method-assign]
    assert world.reconciler.round() == Tally(succeeded=1)
    assert (len(world.stripe.charged), len(world.repository.events)) == (1, 1)


def test_what_stripe_made_nothing_of_before_such_a_fault_waits(world: World) -> None:
    world.begin("before")
    world.clock.pass_(seconds=30)
    faulty: Callable[[Charge], Outcome] = lambda _: failing(fault())()  # type: ignore[func-returns-value]  # noqa: E731
    world.stripe.charge = faulty  # type: ignore[method-assign]
    assert world.reconciler.round() == Tally(waiting=1)
    assert (world.statuses(), world.reconciler.round()) == (["pending"], Tally())


def test_a_fault_of_one_payment_holds_up_no_other_and_is_asked_for_more_and_more_seldom(
    world: World,
) -> None:
    world.begin("before", "bad")
    world.begin("before", "good")
    world.clock.pass_(seconds=30)
    spoil_first(world.stripe, fault())
    assert world.reconciler.round() == Tally(succeeded=1, waiting=1)
    world.stripe.asked = 0
    assert world.reconciler.round() == Tally()
    world.clock.pass_(seconds=10)
    assert world.reconciler.round() == Tally(succeeded=1)


def spoil_first(stripe: FakeStripe, error: Exception) -> None:
    def once() -> None:
        stripe.before = lambda: None
        raise error

    stripe.before = once


def test_past_the_life_of_its_key_a_payment_is_looked_for_and_never_charged(world: World) -> None:
    world.begin("after")
    world.clock.pass_(hours=23, seconds=1)
    charged = dict(world.stripe.charged)
    assert world.reconciler.round() == Tally(succeeded=1)
    assert world.stripe.charged == charged
    assert len(world.repository.events) == 1


def test_what_stripe_has_nothing_of_is_left_to_a_person_and_at_last_not_looked_for(
    world: World,
) -> None:
    world.begin("before")
    world.clock.pass_(hours=23, seconds=1)
    assert world.reconciler.round() == Tally(waiting=1)
    (payment,) = world.repository.for_a_person(world.clock())
    assert (payment.status, world.stripe.charged) == ("pending", {})
    world.clock.pass_(hours=1)
    assert world.reconciler.round() == Tally(waiting=1)
    world.clock.pass_(days=6)
    assert world.reconciler.round() == Tally()
    with pytest.raises(NotPaidError) as caught:
        world.payments.pay(ORDER, ANN)
    assert caught.value.code == "payment_unresolved"


def test_two_charges_of_one_payment_are_left_to_a_person(world: World) -> None:
    world.begin("after")
    world.clock.pass_(hours=24)
    twin = Charged("pi_twin", "succeeded")
    find: Callable[..., list[Outcome]] = lambda *_: [twin, twin]  # noqa: E731
    world.stripe.find = find  # type: ignore[method-assign]
    assert world.reconciler.round() == Tally(waiting=1)
    assert (world.statuses(), world.repository.events) == (["pending"], [])


@pytest.mark.parametrize("status", ["requires_action", "requires_capture"])
def test_what_stripe_has_not_decided_stays_as_it_is(world: World, status: str) -> None:
    world.begin("before")
    world.clock.pass_(seconds=30)
    world.stripe.status = status
    assert world.reconciler.round() == Tally(waiting=1)
    assert world.statuses() == ["pending"]


@pytest.mark.parametrize(
    ("end", "tally", "events"),
    [
        (Charged("pi_y-1", "succeeded"), Tally(succeeded=1), 1),
        (Refused(True, "insufficient_funds", "No.", None, "pi_y-1"), Tally(failed=1), 0),
    ],
)
def test_a_processing_payment_is_looked_up_until_it_has_an_end(
    world: World, end: Outcome, tally: Tally, events: int
) -> None:
    world.stripe.status = "processing"
    payment = world.payments.pay(ORDER, ANN)
    assert world.reconciler.round() == Tally(waiting=1)
    assert world.reconciler.round() == Tally()
    world.stripe.now[payment.stripe_id or ""] = replace(end, stripe_id=payment.stripe_id)
    world.clock.pass_(days=3)
    assert world.reconciler.round() == tally
    assert world.reconciler.round() == Tally()
    assert len(world.repository.events) == events
    assert len(world.stripe.charged) == 1


def test_a_payment_whose_payer_nobody_knows_waits_for_its_client_or_a_person(
    world: World,
) -> None:
    world.begin("before")
    world.repository.kept[1] = replace(world.repository.kept[1], payer=None)
    world.clock.pass_(seconds=30)
    assert world.reconciler.round() == Tally()
    assert [each.id for each in world.repository.for_a_person(world.clock())] == [1]
    assert world.payments.pay(ORDER, ANN).status == "succeeded"
    assert len(world.repository.events) == 1


def test_a_reconciler_that_dies_leaves_the_payment_to_the_next(world: World) -> None:
    world.begin("before")
    world.clock.pass_(seconds=30)
    world.stripe.after = failing(KilledError())
    with pytest.raises(KilledError):
        world.reconciler.round()
    world.stripe.after = lambda: None
    assert world.reconciler.round() == Tally()
    world.clock.pass_(seconds=30)
    assert world.reconciler.round() == Tally(succeeded=1)
    assert (len(world.stripe.charged), len(world.repository.events)) == (1, 1)


def test_a_client_that_repeats_while_the_reconciler_asks_is_told_to_wait(world: World) -> None:
    world.begin("before")
    world.clock.pass_(seconds=30)
    told: list[str] = []

    def repeat() -> None:
        with pytest.raises(NotPaidError) as caught:
            world.payments.pay(ORDER, ANN)
        told.append(caught.value.code)

    world.stripe.before = repeat
    assert world.reconciler.round() == Tally(succeeded=1)
    assert told == ["payment_in_progress"]


def test_more_than_a_page_is_walked_through_in_one_round(world: World) -> None:
    for number in range(AT_ONCE + 5):
        world.begin("before", f"key-{number}")
    world.clock.pass_(seconds=30)
    assert world.reconciler.round() == Tally(succeeded=AT_ONCE + 5)


def test_a_round_that_is_told_to_stop_takes_nothing_more(world: World) -> None:
    world.begin("before")
    world.clock.pass_(seconds=30)
    assert world.reconciler.round(lambda: True) == Tally()
    assert world.statuses() == ["pending"]


@pytest.mark.parametrize(
    ("age", "wait"),
    [
        (timedelta(0), timedelta(seconds=10)),
        (timedelta(minutes=4), timedelta(minutes=1)),
        (timedelta(days=3), timedelta(hours=1)),
    ],
)
def test_the_older_a_payment_the_longer_it_is_left_alone(age: timedelta, wait: timedelta) -> None:
    assert patience(age) == wait
