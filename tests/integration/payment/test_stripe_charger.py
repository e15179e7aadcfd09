"""The charger against a double that speaks Stripe's API, as a process of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from extracted.chassis.clock import utc_now
from extracted.payment.charging import Charge, Charged, Refused, UnknownOutcomeError, stripe_key
from extracted.payment.stripe_charger import StripeCharger
from scripts.processes import Fleet
from tests.blog import NOWHERE
from tests.integration.payment.conftest import API_KEY, Stripe


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stripe]:
    folder: Path = tmp_path_factory.mktemp("stripe")
    with Fleet(folder / "logs") as fleet:
        double = Stripe(fleet, folder / "kept")
        double.start()
        yield double


@pytest.fixture
def charger(double: Stripe) -> Iterator[StripeCharger]:
    with closing(StripeCharger(API_KEY, double.url, timeout_s=5)) as charger:
        yield charger


@pytest.fixture
def charge(request: pytest.FixtureRequest) -> Charge:
    name = request.node.name
    return Charge(1999, "usd", "pm_card_visa", stripe_key(1, name), {"payment_id": name[-100:]})


def charged(charger: StripeCharger, charge: Charge) -> Charged:
    outcome = charger.charge(charge)
    assert isinstance(outcome, Charged)
    return outcome


def test_a_good_card_is_charged_once_for_each_key(charger: StripeCharger, charge: Charge) -> None:
    first = charged(charger, charge)
    assert first.status == "succeeded"
    assert charger.charge(charge) == first
    assert charger.look_up(charge, first.stripe_id) == first


def test_a_declined_card_is_refused_in_the_same_words_whenever_it_is_asked_for(
    charger: StripeCharger, charge: Charge
) -> None:
    declined = replace(charge, payment_method="pm_card_chargeDeclinedInsufficientFunds")
    refused = charger.charge(declined)
    assert isinstance(refused, Refused)
    assert (refused.declined, refused.code) == (True, "card_declined")
    assert refused.decline_code == "insufficient_funds"
    assert charger.charge(declined) == refused
    assert charger.look_up(declined, refused.stripe_id or "") == refused
    assert charger.find(declined, utc_now() - timedelta(minutes=5)) == [refused]


def test_what_stripe_cannot_take_is_refused_and_not_declined(
    charger: StripeCharger, charge: Charge
) -> None:
    outcome = charger.charge(replace(charge, payment_method="no_such_method"))
    assert isinstance(outcome, Refused)
    assert (outcome.declined, outcome.code) == (False, "resource_missing")


@pytest.mark.parametrize("paid", [True, False])
def test_what_a_bank_settles_later_is_looked_up_then(
    charger: StripeCharger, charge: Charge, double: Stripe, paid: bool
) -> None:
    slow = replace(charge, payment_method="pm_usBankAccount_processing")
    begun = charged(charger, slow)
    assert charger.look_up(slow, begun.stripe_id) == Charged(begun.stripe_id, "processing")
    double.settle(begun.stripe_id, paid=paid)
    end = charger.look_up(slow, begun.stripe_id)
    assert isinstance(end, Charged if paid else Refused)
    assert end.stripe_id == begun.stripe_id
    assert charger.charge(slow) == begun  # under its key Stripe says what it has said


def test_a_charge_is_found_by_what_it_is_of_and_by_nothing_less(
    charger: StripeCharger, charge: Charge
) -> None:
    made = charged(charger, charge)
    just_before = utc_now() - timedelta(minutes=5)
    assert charger.find(charge, just_before) == [made]
    assert charger.find(charge, utc_now() + timedelta(minutes=5)) == []
    for change in ({"amount": 2000}, {"currency": "eur"}, {"metadata": {"payment_id": "other"}}):
        assert charger.find(replace(charge, **change), just_before) == []


def test_the_id_of_another_charge_or_of_none_tells_nothing(
    charger: StripeCharger, charge: Charge
) -> None:
    made = charged(charger, charge)
    for other, stripe_id in ((replace(charge, amount=5), made.stripe_id), (charge, "pi_none")):
        with pytest.raises(UnknownOutcomeError) as caught:
            charger.look_up(other, stripe_id)
        assert caught.value.reached


@pytest.mark.parametrize("failure", ["drop_before", "drop_after"])
def test_one_broken_connection_is_mended_by_a_retry(
    charger: StripeCharger, charge: Charge, double: Stripe, failure: str
) -> None:
    double.spoil(fail_next=1, failure=failure)
    assert isinstance(charger.charge(charge), Charged)


def test_broken_connections_leave_the_outcome_unknown_and_repeatable(
    charger: StripeCharger, charge: Charge, double: Stripe
) -> None:
    double.spoil(fail_next=2, failure="drop_before")
    with pytest.raises(UnknownOutcomeError) as caught:
        charger.charge(charge)
    assert not caught.value.reached
    assert isinstance(charger.charge(charge), Charged)


def test_a_fault_of_stripe_is_told_apart_from_an_outage(
    charger: StripeCharger, charge: Charge, double: Stripe
) -> None:
    double.spoil(fail_next=1, failure="error_500")
    with pytest.raises(UnknownOutcomeError) as caught:
        charger.charge(charge)
    assert caught.value.reached


def test_a_wrong_api_key_is_no_refusal_of_the_payment(double: Stripe, charge: Charge) -> None:
    with closing(StripeCharger("not_a_key", double.url, timeout_s=5)) as charger:
        for ask in (
            lambda: charger.charge(charge),
            lambda: charger.look_up(charge, "pi_1"),
            lambda: charger.find(charge, utc_now()),
        ):
            with pytest.raises(UnknownOutcomeError) as caught:
                ask()
            assert caught.value.reached


def test_no_stripe_at_all_is_an_outage(charge: Charge) -> None:
    with closing(StripeCharger(API_KEY, f"http://{NOWHERE}", timeout_s=1)) as charger:
        for ask in (
            lambda: charger.charge(charge),
            lambda: charger.look_up(charge, "pi_1"),
            lambda: charger.find(charge, utc_now()),
        ):
            with pytest.raises(UnknownOutcomeError) as caught:
                ask()
            assert not caught.value.reached


def test_an_address_that_is_not_stripes_is_no_refusal_of_the_payment(
    double: Stripe, charge: Charge
) -> None:
    with closing(StripeCharger(API_KEY, f"{double.url}/elsewhere", timeout_s=5)) as charger:
        with pytest.raises(UnknownOutcomeError, match="Unrecognized request URL") as caught:
            charger.charge(charge)
        assert caught.value.reached


def test_stripes_client_tells_the_log_nothing_of_requests_that_go_well(
    charger: StripeCharger, charge: Charge, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    charged(charger, charge)
    assert caplog.messages == []
