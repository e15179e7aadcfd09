"""What Stripe answers to a payment intent: the objects and the errors, in Stripe's own shapes.

Decides only: opens no socket, reads no clock, keeps nothing.
Sources: https://docs.stripe.com/api/payment_intents, https://docs.stripe.com/api/errors and
https://docs.stripe.com/testing#declined-payments.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.embedded.stripe_ledger import Answer, JsonObject

# decline code and message by the payment method that provokes it
DECLINES = {
    "pm_card_chargeDeclined": ("generic_decline", "Your card was declined."),
    "pm_card_visa_chargeDeclined": ("generic_decline", "Your card was declined."),
    "pm_card_chargeDeclinedInsufficientFunds": (
        "insufficient_funds",
        "Your card has insufficient funds.",
    ),
    "pm_card_visa_chargeDeclinedInsufficientFunds": (
        "insufficient_funds",
        "Your card has insufficient funds.",
    ),
}
# accepted now, paid or not paid days later; here when `settle` says so
PROCESSING = {"pm_usBankAccount_processing"}
MAX_AMOUNT = 99_999_999  # Stripe: eight digits at most
TERM = re.compile(r"metadata\['([^']+)'\]:'([^']*)'|created>(\d+)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request leaves behind, oldest first, and what it is answered."""

    objects: list[JsonObject]
    answer: Answer


def error(status: int, kind: str, message: str, **more: Any) -> Answer:
    """Return Stripe's error envelope."""
    return Answer(status, {"error": {"type": kind, "message": message, **more}})


def refuse(params: Mapping[str, str]) -> Answer | None:
    """Return the error for parameters that Stripe would not begin to execute, or None."""
    invalid = "invalid_request_error"
    for name in ("amount", "currency"):
        if not params.get(name):
            message = f"Missing required param: {name}."
            return error(400, invalid, message, code="parameter_missing", param=name)
    amount = params["amount"]
    if not (amount.isascii() and amount.isdigit() and 1 <= int(amount) <= MAX_AMOUNT):
        message = f"Invalid integer: {amount}"
        return error(400, invalid, message, code="parameter_invalid_integer", param="amount")
    if not (len(params["currency"]) == 3 and params["currency"].isalpha()):
        message = f"Invalid currency: {params['currency']}."
        return error(400, invalid, message, param="currency")
    return _refuse_confirmation(params) if params.get("confirm") == "true" else None


def _refuse_confirmation(params: Mapping[str, str]) -> Answer | None:
    invalid = "invalid_request_error"
    method = params.get("payment_method")
    if not method:
        message = (
            "You cannot confirm this PaymentIntent because it's missing a payment method."
            " You can either update the PaymentIntent with a payment method and then confirm"
            " it again, or confirm it again directly with a payment method or ConfirmationToken."
        )
        return error(400, invalid, message, code="payment_intent_unexpected_state")
    if not method.startswith("pm_"):
        message = f"No such PaymentMethod: '{method}'"
        return error(400, invalid, message, code="resource_missing", param="payment_method")
    # Since API version 2023-08-16 every method of the dashboard is on unless the caller says
    # otherwise, and those that redirect need somewhere to return to.
    if (
        not params.get("return_url")
        and not any(name.startswith("payment_method_types") for name in params)
        and params.get("automatic_payment_methods[allow_redirects]") != "never"
    ):
        message = (
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard."
            " Because some of these payment methods might redirect your customer off of your page,"
            " you must provide a `return_url`. If you don't want to accept redirect-based payment"
            " methods, set `automatic_payment_methods[enabled]` to `true` and"
            " `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents"
            " and Payment Intents."
        )
        return error(400, invalid, message)
    return None


def create(params: Mapping[str, str], now: int, new_id: Callable[[str], str]) -> Outcome:
    """Carry out `POST /v1/payment_intents` with parameters that `refuse` let pass.

    `now` is in seconds since the epoch; `new_id` makes an identifier from its prefix.
    """
    intent = _intent(params, now, new_id("pi_"), new_id("secret_"))
    if params.get("confirm") != "true":
        return Outcome([intent], Answer(200, intent))
    charge = _charge(intent, now, new_id("ch_"))
    intent["latest_charge"] = charge["id"]
    if params["payment_method"] in PROCESSING:
        charge |= {"paid": False, "status": "pending"}
        intent["status"] = "processing"
        return Outcome([charge, intent], Answer(200, intent))
    decline = DECLINES.get(params["payment_method"])
    if decline is None:
        intent["status"], intent["amount_received"] = "succeeded", intent["amount"]
        return Outcome([charge, intent], Answer(200, intent))
    return _decline(intent, charge, *decline)


def settle(intent: JsonObject, charge: JsonObject, *, paid: bool) -> Outcome:
    """Bring an intent that is processing to its end, as a bank does it in its own time."""
    if not paid:
        return _decline(intent, charge, "generic_decline", "The bank did not pay.")
    charge |= {"paid": True, "status": "succeeded"}
    intent |= {"status": "succeeded", "amount_received": intent["amount"]}
    return Outcome([charge, intent], Answer(200, intent))


def matches(intent: JsonObject, query: str) -> bool:
    """Whether a search finds this intent; of Stripe's query language only what is asked here.

    Terms joined by AND: `metadata['name']:'value'` and `created>seconds`. Raises ValueError.
    Source: https://docs.stripe.com/search#search-query-language.
    """
    for term in query.split(" AND "):
        match = TERM.fullmatch(term)
        if match is None:
            raise ValueError(f"the double does not understand the term {term}")
        name, value, seconds = match.groups()
        if seconds and intent["created"] <= int(seconds):
            return False
        if name and intent["metadata"].get(name) != value:
            return False
    return True


def _decline(intent: JsonObject, charge: JsonObject, decline: str, message: str) -> Outcome:
    charge |= {"paid": False, "captured": False, "status": "failed"}
    charge |= {"failure_code": "card_declined", "failure_message": message}
    refusal = error(
        402,
        "card_error",
        message,
        code="card_declined",
        decline_code=decline,
        charge=charge["id"],
        doc_url="https://stripe.com/docs/error-codes/card-declined",
    )
    intent |= {"status": "requires_payment_method", "payment_method": None}
    intent["last_payment_error"] = dict(refusal.body["error"])
    refusal.body["error"]["payment_intent"] = intent
    return Outcome([charge, intent], refusal)


def _intent(params: Mapping[str, str], now: int, identifier: str, secret: str) -> JsonObject:
    return {
        "id": identifier,
        "object": "payment_intent",
        "amount": int(params["amount"]),
        "amount_received": 0,
        "client_secret": f"{identifier}_{secret}",
        "created": now,
        "currency": params["currency"].lower(),
        "description": params.get("description"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": _metadata(params),
        "payment_method": params.get("payment_method"),
        "payment_method_types": ["card"],
        "status": "requires_confirmation"
        if params.get("payment_method")
        else "requires_payment_method",
    }


def _charge(intent: JsonObject, now: int, identifier: str) -> JsonObject:
    return {
        "id": identifier,
        "object": "charge",
        "amount": intent["amount"],
        "captured": True,
        "created": now,
        "currency": intent["currency"],
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": intent["metadata"],
        "paid": True,
        "payment_intent": intent["id"],
        "payment_method": intent["payment_method"],
        "status": "succeeded",
    }


def _metadata(params: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix("metadata[").removesuffix("]"): value
        for name, value in params.items()
        if name.startswith("metadata[")
    }
