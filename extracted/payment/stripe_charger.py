"""Charges at Stripe, by its own client. The only module that knows Stripe's API."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import requests
import stripe

from extracted.chassis.logs import quieten
from extracted.payment.charging import (
    Charge,
    Charged,
    Outcome,
    Refused,
    UnknownOutcomeError,
)

# One charge has one intent. What there is beyond a second one changes nothing: a person decides.
FOUND_AT_MOST = 10
# Stripe's own words for a no to the payment. Whoever else answers 400 or 402 does not say them.
NO = {stripe.CardError: "card_error", stripe.InvalidRequestError: "invalid_request_error"}
# It speaks of the address that was asked: what an order names and Stripe lacks is a 400.
NOT_FOUND = 404


class StripeCharger:
    """Charges with a PaymentIntent, confirmed at once. Retries are safe: the key goes with them."""

    def __init__(self, api_key: str, api_base: str, timeout_s: float) -> None:
        quieten("stripe", logging.WARNING)  # else two lines for each request
        self._session = requests.Session()
        self._intents = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_base},
            max_network_retries=1,
            http_client=stripe.RequestsClient(timeout=timeout_s, session=self._session),
        ).v1.payment_intents

    def close(self) -> None:
        """Close the connections to Stripe."""
        self._session.close()

    def charge(self, charge: Charge) -> Outcome:
        """See `Charger`."""
        try:
            with _unknown_otherwise():
                intent = self._intents.create(
                    {
                        "amount": charge.amount,
                        "currency": charge.currency,
                        "payment_method": charge.payment_method,
                        "confirm": True,
                        # Nobody is there to follow a bank's redirect: refuse instead of waiting.
                        "error_on_requires_action": True,
                        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                        "metadata": charge.metadata,
                    },
                    {"idempotency_key": charge.key},
                )
                return Charged(intent.id, intent.status)
        except stripe.StripeError as error:
            return _refused(error)

    def look_up(self, charge: Charge, stripe_id: str) -> Outcome:
        """See `Charger`."""
        with _unknown_otherwise(), _nothing_refused():
            intent = self._intents.retrieve(stripe_id)
            if _is_of(intent, charge):
                return _outcome(intent)
        raise UnknownOutcomeError(f"{stripe_id} is of another payment", reached=True)

    def find(self, charge: Charge, since: datetime) -> Sequence[Outcome]:
        """See `Charger`. Stripe's search is complete after a minute, and an hour at the worst."""
        terms = [f"metadata['{name}']:'{value}'" for name, value in charge.metadata.items()]
        terms.append(f"created>{int(since.timestamp())}")
        with _unknown_otherwise(), _nothing_refused():
            found = self._intents.search({"query": " AND ".join(terms), "limit": FOUND_AT_MOST})
            return [_outcome(intent) for intent in found.data if _is_of(intent, charge)]


@contextmanager
def _unknown_otherwise() -> Iterator[None]:
    """Whatever goes wrong is an unknown outcome, but for Stripe's own no to the payment.

    Something that is not Stripe may answer in its place, and in whatever form.
    """
    try:
        yield
    except UnknownOutcomeError:
        raise
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        raise UnknownOutcomeError(str(error), reached=False) from error
    except Exception as error:
        if _says_no(error):
            raise
        raise UnknownOutcomeError(str(error), reached=True) from error


@contextmanager
def _nothing_refused() -> Iterator[None]:
    """For questions: what is refused is the question, and that says nothing of a payment."""
    try:
        yield
    except (stripe.CardError, stripe.InvalidRequestError) as error:
        raise UnknownOutcomeError(str(error), reached=True) from error


def _says_no(error: Exception) -> bool:
    if not isinstance(error, stripe.StripeError) or error.http_status == NOT_FOUND:
        return False
    return getattr(error.error, "type", None) == NO.get(type(error), "")


def _is_of(intent: Any, charge: Charge) -> bool:
    if (intent.amount, intent.currency) != (charge.amount, charge.currency):
        return False
    return bool(intent.metadata.to_dict().items() >= charge.metadata.items())


def _outcome(intent: stripe.PaymentIntent) -> Outcome:
    """What an intent says of itself, long after the request that made it."""
    refusal: Any = intent.last_payment_error
    if intent.status == "requires_payment_method" and refusal is not None:
        return Refused(
            True,
            getattr(refusal, "code", None) or "card_declined",
            getattr(refusal, "message", None) or "Stripe refused the payment.",
            decline_code=getattr(refusal, "decline_code", None),
            stripe_id=intent.id,
        )
    if intent.status == "canceled":
        return Refused(True, "payment_canceled", "The payment was cancelled.", None, intent.id)
    return Charged(intent.id, intent.status)


def _told(error: stripe.StripeError) -> str:
    return error.user_message or "Stripe refused the payment."


def _refused(error: stripe.StripeError) -> Refused:
    if isinstance(error, stripe.InvalidRequestError):
        return Refused(False, error.code or "invalid_request", _told(error))
    details: Any = error.error
    intent = getattr(details, "payment_intent", None)
    return Refused(
        True,
        error.code or "card_declined",
        _told(error),
        decline_code=getattr(details, "decline_code", None),
        stripe_id=getattr(intent, "id", None),
    )
