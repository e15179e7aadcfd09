"""The card charge at Stripe, as a port: what is asked, and what can come of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Protocol

import requests
import stripe

# Stripe's own words for a no to the payment. Whoever else answers 400 or 402 does not say them.
NO = {stripe.CardError: "card_error", stripe.InvalidRequestError: "invalid_request_error"}
# It speaks of the address that was asked: what an order names and Stripe lacks is a 400.
NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Charge:
    """What to charge: `amount` in minor units, and the key under which Stripe does it once."""

    amount: int
    currency: str
    payment_method: str
    key: str
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Charged:
    """Stripe has taken the charge on; `status` is Stripe's word for how far it is."""

    stripe_id: str
    status: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Stripe will not do it, now or on a repeat: a declined card, or a request it cannot take."""

    declined: bool
    code: str
    message: str
    decline_code: str | None = None
    stripe_id: str | None = None


class UnknownOutcomeError(Exception):
    """Nobody knows whether the charge was made. `reached` says whether Stripe answered at all."""

    def __init__(self, message: str, *, reached: bool) -> None:
        super().__init__(message)
        self.reached = reached


class Charger(Protocol):
    """Makes a charge once for each key. Raises UnknownOutcomeError when nobody knows."""

    def charge(self, charge: Charge) -> Charged | Refused:
        """Charge, or give again the outcome that this key has had before."""
        ...


class StripeCharger:
    """Charges with a PaymentIntent, confirmed at once. Retries are safe: the key goes with them."""

    def __init__(self, api_key: str, api_base: str, timeout_s: float) -> None:
        self._session = requests.Session()
        self._stripe = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_base},
            max_network_retries=1,
            http_client=stripe.RequestsClient(timeout=timeout_s, session=self._session),
        )

    def close(self) -> None:
        """Close the connections to Stripe."""
        self._session.close()

    def charge(self, charge: Charge) -> Charged | Refused:
        """See `Charger`."""
        try:
            intent = self._stripe.v1.payment_intents.create(
                {
                    "amount": charge.amount,
                    "currency": charge.currency,
                    "payment_method": charge.payment_method,
                    "confirm": True,
                    # Nobody is there to follow a bank's redirect: refuse instead of waiting for it.
                    "error_on_requires_action": True,
                    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                    "metadata": charge.metadata,
                },
                {"idempotency_key": charge.key},
            )
            return Charged(intent.id, intent.status)
        except (stripe.APIConnectionError, stripe.RateLimitError) as error:
            raise UnknownOutcomeError(str(error), reached=False) from error
        except Exception as error:
            # Something that is not Stripe may answer in its place, and in whatever form.
            if isinstance(error, stripe.StripeError) and _says_no(error):
                return _refused(error)
            raise UnknownOutcomeError(str(error), reached=True) from error


def _says_no(error: stripe.StripeError) -> bool:
    its_type = getattr(error.error, "type", None)
    return error.http_status != NOT_FOUND and its_type == NO.get(type(error), "")


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


def stripe_key(user_id: int, key: str) -> str:
    """The key that Stripe sees: one for each user and key, of Stripe's length, telling neither."""
    return "blog-" + hashlib.sha256(f"{user_id}:{key}".encode()).hexdigest()
