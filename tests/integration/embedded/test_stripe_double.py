import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

from scripts.processes import Running

CARD = {"confirm": True, "payment_method_types": ["card"]}


@pytest.fixture
def double(start: Any, tmp_path: Path) -> Running:
    return start("stripe_double", tmp_path / "stripe", health="/_double/health")


@pytest.fixture
def client(double: Running) -> Iterator[stripe.StripeClient]:
    yield from clients(double)


def clients(double: Running, key: str = "sk_test_walk") -> Iterator[stripe.StripeClient]:
    http = stripe.RequestsClient()
    address = f"http://127.0.0.1:{double.program.port}"
    yield stripe.StripeClient(key, base_addresses={"api": address}, http_client=http)
    http.close()


def pay(
    client: stripe.StripeClient,
    key: str,
    amount: int = 500,
    card: str = "pm_card_visa",
    **more: Any,
) -> Any:
    intent = {"amount": amount, "currency": "eur", "payment_method": card, **CARD, **more}
    return client.v1.payment_intents.create(intent, {"idempotency_key": key})


def order(double: Running, **faults: Any) -> None:
    address = f"http://127.0.0.1:{double.program.port}/_double/faults"
    requests.put(address, json=faults, timeout=5).raise_for_status()


def charges(client: stripe.StripeClient) -> list[Any]:
    return list(client.v1.charges.list({"limit": 2}).auto_paging_iter())


def test_a_confirmed_intent_succeeds_and_can_be_read_and_listed(
    client: stripe.StripeClient,
) -> None:
    intent = pay(client, "one", amount=1250)
    assert (intent.status, intent.amount, intent.amount_received) == ("succeeded", 1250, 1250)
    assert client.v1.payment_intents.retrieve(intent.id).latest_charge == intent.latest_charge
    assert [each.id for each in client.v1.payment_intents.list().data] == [intent.id]
    assert charges(client)[0].payment_intent == intent.id


def test_a_repeated_key_gives_the_first_answer_and_charges_once(
    client: stripe.StripeClient,
) -> None:
    first, again = pay(client, "same"), pay(client, "same")
    assert again.id == first.id
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert len(charges(client)) == 1


def test_a_key_used_with_other_parameters_is_an_idempotency_error(
    client: stripe.StripeClient,
) -> None:
    pay(client, "mine", amount=100)
    with pytest.raises(stripe.IdempotencyError) as caught:
        pay(client, "mine", amount=200)
    assert caught.value.http_status == 400
    assert len(charges(client)) == 1


def test_keys_of_two_accounts_do_not_meet(client: stripe.StripeClient, double: Running) -> None:
    pay(client, "shared", amount=100)
    for other in clients(double, "sk_test_other"):
        assert pay(other, "shared", amount=200).amount == 200


@pytest.mark.parametrize(
    ("card", "code", "decline"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
    ],
)
def test_a_declined_card_is_a_402_with_its_code_and_stays_declined_under_its_key(
    client: stripe.StripeClient, card: str, code: str, decline: str | None
) -> None:
    for replayed in (None, "true"):
        with pytest.raises(stripe.CardError) as caught:
            pay(client, "no", card=card)
        assert caught.value.http_status == 402
        assert caught.value.code == code
        assert getattr(caught.value.error, "decline_code", None) == decline
        assert caught.value.headers.get("Idempotent-Replayed") == replayed
    (charge,) = charges(client)
    assert (charge.paid, charge.status) == (False, "failed")


@pytest.mark.parametrize("nobody", [{"error_on_requires_action": True}, {"off_session": True}])
def test_a_card_that_asks_for_a_person_is_declined_where_nobody_is(
    client: stripe.StripeClient, nobody: dict[str, bool]
) -> None:
    card = "pm_card_authenticationRequired"
    with pytest.raises(stripe.CardError) as caught:
        pay(client, "alone", card=card, **nobody)
    assert (caught.value.http_status, caught.value.code) == (402, "authentication_required")
    intent = client.v1.payment_intents.retrieve(caught.value.error.payment_intent.id)
    assert intent.status == "requires_payment_method"
    assert not any(charge.paid for charge in charges(client))


def test_a_card_that_asks_for_a_person_waits_for_one(client: stripe.StripeClient) -> None:
    intent = pay(client, "here", card="pm_card_threeDSecure2Required")
    assert intent.status == "requires_action"
    assert intent.next_action.type == "use_stripe_sdk"
    assert charges(client) == []


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"card": "pm_nope"}, "resource_missing", "payment_method"),
        ({"currency": "xyz"}, None, "currency"),
        ({"amount": 49, "currency": "usd"}, "amount_too_small", "amount"),
        ({"amount": 49, "currency": "jpy"}, "amount_too_small", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
    ],
)
def test_what_stripe_does_not_know_or_take_is_a_400(
    client: stripe.StripeClient, change: dict[str, Any], code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        pay(client, "odd", **change)
    found = (caught.value.http_status, caught.value.code, caught.value.param)
    assert found == (400, code, param)
    assert charges(client) == []
    assert pay(client, "even", amount=50, currency="jpy").amount == 50


def test_parameters_that_fail_validation_do_not_use_up_the_key(
    client: stripe.StripeClient,
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        pay(client, "later", amount=-1)
    assert caught.value.param == "amount"
    assert pay(client, "later", amount=300).status == "succeeded"


def test_a_confirmation_that_may_redirect_needs_a_return_url(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="return_url"):
        client.v1.payment_intents.create(
            {"amount": 500, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}
        )


@pytest.mark.parametrize("key", ["", "pk_live_x"])
def test_requests_without_a_test_key_are_refused(double: Running, key: str) -> None:
    address = f"http://127.0.0.1:{double.program.port}/v1/payment_intents"
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = requests.get(address, headers=headers, timeout=5)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_an_ordered_failure_is_replayed_under_its_key(
    client: stripe.StripeClient, double: Running
) -> None:
    order(double, fail_next=1, failure="error_500")
    for _ in range(2):
        with pytest.raises(stripe.APIError) as caught:
            pay(client, "broken")
        assert caught.value.http_status == 500
    assert charges(client) == []


@pytest.mark.parametrize("failure", ["drop_before", "drop_after"])
def test_a_payment_whose_answer_was_lost_is_charged_once_when_it_is_repeated(
    client: stripe.StripeClient, double: Running, failure: str
) -> None:
    order(double, fail_next=1, failure=failure)
    with pytest.raises(stripe.APIConnectionError):
        pay(client, "lost")
    assert pay(client, "lost").status == "succeeded"
    assert len(charges(client)) == 1


def test_a_key_whose_first_request_still_runs_is_a_conflict(
    client: stripe.StripeClient, double: Running
) -> None:
    order(double, latency_s=1.0)
    gate = threading.Barrier(2)
    outcomes: list[Any] = []

    def pay_at_once() -> None:
        for mine in clients(double):
            gate.wait(10)
            try:
                outcomes.append(pay(mine, "busy").status)
            except stripe.StripeError as error:
                outcomes.append((error.http_status, error.error.code))

    threads = [threading.Thread(target=pay_at_once) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(map(str, outcomes)) == ["(409, 'idempotency_key_in_use')", "succeeded"]
    assert len(charges(client)) == 1


def test_charges_and_keys_survive_a_kill(start: Any, tmp_path: Path) -> None:
    first = start("stripe_double", tmp_path / "kept", health="/_double/health")
    for client in clients(first):
        identifier = pay(client, "before").id
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(10)
    second = start("stripe_double", tmp_path / "kept", health="/_double/health")
    for client in clients(second):
        assert pay(client, "before").id == identifier
        assert len(charges(client)) == 1


@pytest.mark.parametrize(
    ("paid", "ends"), [(True, "succeeded"), (False, "requires_payment_method")]
)
def test_a_bank_payment_is_processing_until_it_is_told_how_it_ended(
    client: stripe.StripeClient, double: Running, paid: bool, ends: str
) -> None:
    intent = pay(client, "bank", card="pm_usBankAccount_processing")
    assert (intent.status, charges(client)[0].status) == ("processing", "pending")
    address = f"http://127.0.0.1:{double.program.port}/_double/payment_intents/{intent.id}"
    assert requests.put(address, json={"paid": paid}, timeout=5).status_code == 200
    assert client.v1.payment_intents.retrieve(intent.id).status == ends
    assert charges(client)[0].paid is paid
    assert requests.put(address, json={"paid": paid}, timeout=5).status_code == 409
    assert pay(client, "bank", card="pm_usBankAccount_processing").status == "processing"


def test_intents_are_found_by_their_metadata_and_age(client: stripe.StripeClient) -> None:
    intents = [
        client.v1.payment_intents.create(
            {"amount": 500, "currency": "eur", "metadata": {"payment_id": number}}
        )
        for number in ("7", "77")
    ]
    query = "metadata['payment_id']:'7' AND created>"
    found = client.v1.payment_intents.search({"query": f"{query}0"}).data
    assert [each.id for each in found] == [intents[0].id]
    later = client.v1.payment_intents.search({"query": f"{query}{intents[0].created}"})
    assert later.data == []
    with pytest.raises(stripe.InvalidRequestError, match="customer"):
        client.v1.payment_intents.search({"query": "customer:'x'"})


def test_a_failure_that_nobody_knows_cannot_be_ordered(double: Running) -> None:
    address = f"http://127.0.0.1:{double.program.port}/_double/faults"
    answer = requests.put(address, json={"failure": "explode"}, timeout=5)
    assert answer.status_code == 400
    assert "drop_after" in answer.text
