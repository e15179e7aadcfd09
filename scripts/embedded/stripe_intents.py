"""What Stripe answers to a payment intent: the objects and the errors, in Stripe's own shapes.

Decides only: opens no socket, reads no clock, keeps nothing.
Sources: https://docs.stripe.com/api/payment_intents, https://docs.stripe.com/api/errors and
https://docs.stripe.com/error-codes.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.embedded.stripe_catalogue import (
    AUTHENTICATING,
    CURRENCIES,
    DECLINES,
    LEAST_AMOUNTS,
    MAX_AMOUNT,
    METHODS,
    PROCESSING,
    UNAUTHENTICATED,
    Decline,
)
from scripts.embedded.stripe_ledger import Answer, JsonObject

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
    amount, currency = params["amount"], params["currency"].lower()
    if not (amount.isascii() and amount.isdigit() and int(amount) >= 1):
        message = f"Invalid integer: {amount}"
        return error(400, invalid, message, code="parameter_invalid_integer", param="amount")
    if currency not in CURRENCIES:
        message = (
            f"Invalid currency: {currency}. Stripe currently supports these currencies:"
            f" {', '.join(sorted(CURRENCIES))}"
        )
        return error(400, invalid, message, param="currency")
    if wrong := _refuse_amount(int(amount), currency):
        return wrong
    return _refuse_confirmation(params) if params.get("confirm") == "true" else None


def _refuse_amount(amount: int, currency: str) -> Answer | None:
    least = LEAST_AMOUNTS.get(currency, 1)
    if least <= amount <= MAX_AMOUNT:
        return None
    small = amount < least
    bound = f"at least {least}" if small else f"no more than {MAX_AMOUNT}"
    return error(
        400,
        "invalid_request_error",
        f"Amount must be {bound} in the smallest unit of {currency}",
        code="amount_too_small" if small else "amount_too_large",
        param="amount",
    )


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
    if method not in METHODS:
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
    method = params["payment_method"]
    decline = DECLINES.get(method)
    if method in AUTHENTICATING:
        if "true" not in (params.get("error_on_requires_action"), params.get("off_session")):
            intent |= {"status": "requires_action", "next_action": {"type": "use_stripe_sdk"}}
            return Outcome([intent], Answer(200, intent))
        decline = UNAUTHENTICATED  # nobody is there to authenticate
    charge = _charge(intent, now, new_id("ch_"))
    intent["latest_charge"] = charge["id"]
    if decline is not None:
        return _decline(intent, charge, decline)
    if method in PROCESSING:
        charge |= {"paid": False, "status": "pending"}
        intent["status"] = "processing"
    else:
        intent["status"], intent["amount_received"] = "succeeded", intent["amount"]
    return Outcome([charge, intent], Answer(200, intent))


def settle(intent: JsonObject, charge: JsonObject, *, paid: bool) -> Outcome:
    """Bring an intent that is processing to its end, as a bank does it in its own time."""
    if not paid:
        bank = Decline("card_declined", "generic_decline", "The bank did not pay.")
        return _decline(intent, charge, bank)
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


def _decline(intent: JsonObject, charge: JsonObject, decline: Decline) -> Outcome:
    charge |= {"paid": False, "captured": False, "status": "failed"}
    charge |= {"failure_code": decline.code, "failure_message": decline.message}
    more = {"decline_code": decline.decline_code} if decline.decline_code else {}
    refusal = error(
        402,
        "card_error",
        decline.message,
        code=decline.code,
        charge=charge["id"],
        doc_url=f"https://stripe.com/docs/error-codes/{decline.code.replace('_', '-')}",
        **more,
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
