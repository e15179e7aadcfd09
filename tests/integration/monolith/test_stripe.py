"""The charger against a double that speaks Stripe's API, as a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
import requests

from monolith.payments.charging import (
    Charge,
    Charged,
    Refused,
    StripeCharger,
    UnknownOutcomeError,
    stripe_key,
)
from scripts.processes import Fleet, Program, free_ports
from tests.blog import NOWHERE


@pytest.fixture(scope="module")
def stripe_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("stripe")
    (port,) = free_ports(1)
    module = "scripts.embedded.stripe_double"
    command = (sys.executable, "-m", module, "--port", str(port), "--dir", str(folder))
    with Fleet(folder) as fleet:
        fleet.start(Program("stripe", command, {}, port))
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def charger(stripe_url: str) -> Iterator[StripeCharger]:
    with closing(StripeCharger("sk_test_x", stripe_url, timeout_s=5)) as charger:
        yield charger


@pytest.fixture
def charge(request: pytest.FixtureRequest) -> Charge:
    return Charge(1999, "usd", "pm_card_visa", stripe_key(1, request.node.name))


def spoil(stripe_url: str, failure: str, count: int) -> None:
    faults = {"fail_next": count, "failure": failure}
    requests.put(f"{stripe_url}/_double/faults", json=faults, timeout=5).raise_for_status()


def test_a_good_card_is_charged_once_for_each_key(charger: StripeCharger, charge: Charge) -> None:
    first = charger.charge(charge)
    assert isinstance(first, Charged)
    assert first.status == "succeeded"
    assert first.stripe_id.startswith("pi_")
    assert charger.charge(charge) == first


def test_a_declined_card_is_refused_with_stripes_codes(
    charger: StripeCharger, charge: Charge
) -> None:
    declined = Charge(1999, "usd", "pm_card_chargeDeclinedInsufficientFunds", charge.key)
    outcome = charger.charge(declined)
    assert isinstance(outcome, Refused)
    assert outcome.declined
    assert (outcome.code, outcome.decline_code) == ("card_declined", "insufficient_funds")
    assert outcome.stripe_id is not None
    assert outcome.stripe_id.startswith("pi_")


def test_what_stripe_cannot_take_is_refused_and_not_declined(
    charger: StripeCharger, charge: Charge
) -> None:
    outcome = charger.charge(Charge(1999, "usd", "no_such_method", charge.key))
    assert isinstance(outcome, Refused)
    assert not outcome.declined
    assert outcome.code == "resource_missing"


def test_an_address_that_is_not_stripes_is_no_refusal_of_the_payment(
    stripe_url: str, charge: Charge
) -> None:
    with (
        closing(StripeCharger("sk_test_x", f"{stripe_url}/elsewhere", timeout_s=5)) as charger,
        pytest.raises(UnknownOutcomeError, match="Unrecognized request URL") as caught,
    ):
        charger.charge(charge)
    assert caught.value.reached


@pytest.mark.parametrize("failure", ["drop_before", "drop_after"])
def test_one_broken_connection_is_mended_by_a_retry(
    charger: StripeCharger, charge: Charge, stripe_url: str, failure: str
) -> None:
    spoil(stripe_url, failure, 1)
    assert isinstance(charger.charge(charge), Charged)


def test_broken_connections_leave_the_outcome_unknown_and_repeatable(
    charger: StripeCharger, charge: Charge, stripe_url: str
) -> None:
    spoil(stripe_url, "drop_before", 2)
    with pytest.raises(UnknownOutcomeError) as caught:
        charger.charge(charge)
    assert not caught.value.reached
    assert isinstance(charger.charge(charge), Charged)


def test_a_fault_of_stripe_is_told_apart_from_an_outage(
    charger: StripeCharger, charge: Charge, stripe_url: str
) -> None:
    spoil(stripe_url, "error_500", 1)
    with pytest.raises(UnknownOutcomeError) as caught:
        charger.charge(charge)
    assert caught.value.reached


def test_a_wrong_api_key_is_no_refusal_of_the_payment(stripe_url: str, charge: Charge) -> None:
    with (
        closing(StripeCharger("not_a_key", stripe_url, timeout_s=5)) as charger,
        pytest.raises(UnknownOutcomeError),
    ):
        charger.charge(charge)


def test_no_stripe_at_all_is_an_outage(charge: Charge) -> None:
    with (
        closing(StripeCharger("sk_test_x", f"http://{NOWHERE}", timeout_s=1)) as charger,
        pytest.raises(UnknownOutcomeError) as caught,
    ):
        charger.charge(charge)
    assert not caught.value.reached


def test_stripes_keys_are_of_one_user_and_one_key() -> None:
    keys = {stripe_key(1, "2:x"), stripe_key(12, "x"), stripe_key(1, "x"), stripe_key(1, "X")}
    assert len(keys) == 4
    assert all(len(key) <= 255 for key in keys)
