"""A payment, charged once for each (user, key), whatever dies between its steps.

The intent is recorded and committed before Stripe is called, and finished after. A repeat finds
the record: a finished one is answered again; a pending one is taken over when nobody works on
it, with the same key at Stripe, which then charges only once. While another request works on it
(its lease runs) a repeat is told `payment_in_progress`: waiting inside the request would let a few
impatient clients hold every thread. What no client repeats is left to `reconciling`.

Knows neither HTTP nor SQL.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from extracted.chassis.clock import Clock
from extracted.chassis.events import Event, happened
from extracted.chassis.events.payloads import PaymentCompleted, Person
from extracted.payment.charging import (
    PROCESSING,
    SUCCEEDED,
    Charge,
    Charger,
    Outcome,
    Refused,
    UnknownOutcomeError,
    stripe_key,
)

log = logging.getLogger(__name__)

PENDING, FAILED = "pending", "failed"
UNFINISHED = (PENDING, PROCESSING)
# Stripe forgets keys after 24 hours; a repeat under a forgotten key would charge again.
KEY_LIFE = timedelta(hours=23)

IN_PROGRESS, UNRESOLVED = "payment_in_progress", "payment_unresolved"
KEY_REUSED = "idempotency_key_reused"
PROVIDER_ERROR, PROVIDER_AWAY = "payment_provider_error", "payment_provider_unavailable"


class NotPaidError(Exception):
    """The order is not carried out, or not yet; `code` is one of the constants above.

    With `retry_after_s` it is worth repeating, under the same key.
    """

    def __init__(self, code: str, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s


class RefusedError(Exception):
    """Stripe has refused the payment; `refusal` is what the client is told, on every repeat."""

    def __init__(self, refusal: dict[str, Any]) -> None:
        super().__init__(refusal["message"])
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Order:
    """What a user asks to pay, under the user's own key. `amount` is in minor units."""

    user_id: int
    key: str
    amount: int
    currency: str
    payment_method: str

    @property
    def fingerprint(self) -> str:
        """Equal for equal orders: a key belongs to one of them."""
        told = json.dumps([self.amount, self.currency, self.payment_method])
        return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment asked for.

    `status` is pending, processing (Stripe has it, and knows later), succeeded or failed. `refusal`
    holds the refusing answer of a failed one: {status, code, message, ...}. Until `lease_until`
    one worker is on it, and before `retry_at` the reconciler does not ask again. `payer` is known
    from the token until the payment is finished, for the event that tells of it; no longer.
    """

    id: int
    order: Order
    fingerprint: str
    status: str
    created_at: datetime
    stripe_id: str | None = None
    refusal: dict[str, Any] | None = None
    lease_until: datetime | None = None
    retry_at: datetime | None = None
    finished_at: datetime | None = None
    payer: Person | None = None

    @property
    def charge(self) -> Charge:
        """What Stripe is asked for: the same at every try, as it was in the monolith."""
        order = self.order
        return Charge(
            amount=order.amount,
            currency=order.currency,
            payment_method=order.payment_method,
            key=stripe_key(order.user_id, order.key),
            metadata={"payment_id": str(self.id)},
        )

    def key_forgotten(self, now: datetime) -> bool:
        """Whether Stripe may not know the key any longer."""
        return self.created_at + KEY_LIFE < now


class Repository(Protocol):
    """Where payments are kept. Each call is committed when it returns."""

    def record(
        self, order: Order, payer: Person, now: datetime, lease_until: datetime
    ) -> tuple[Payment, bool]:
        """A new pending payment with its lease taken, and True.

        When this user's key has been seen before: the payment that has it, and False.
        """
        ...

    def take_over(
        self, payment: Payment, now: datetime, lease_until: datetime, payer: Person | None = None
    ) -> Payment | None:
        """The payment with its lease taken, if its status is still this and nobody is on it.

        With a payer, that is the one from now on.
        """
        ...

    def finish(
        self, before: Payment, after: Payment, event: Event[PaymentCompleted] | None
    ) -> Payment:
        """Write what came of it, and the event with it, if the status is still that of `before`.

        The payment as it then is: who comes second writes nothing, and finds what the first wrote.
        """
        ...

    def release(self, payment: Payment, retry_at: datetime | None = None) -> None:
        """Give the lease back, if it is still this one."""
        ...

    def own(self, user_id: int, payment_id: int) -> Payment | None:
        """The user's payment with this id, or None."""
        ...

    def all_own(self, user_id: int, offset: int, limit: int) -> Sequence[Payment]:
        """Some of the user's payments, newest first."""
        ...


class Payments:
    """Takes payments, with `lease_s` seconds for each attempt at Stripe."""

    def __init__(
        self, repository: Repository, charger: Charger, clock: Clock, lease_s: float
    ) -> None:
        self._repository = repository
        self._charger = charger
        self._clock = clock
        self._lease = timedelta(seconds=lease_s)

    def pay(self, order: Order, payer: Person) -> Payment:
        """Charge the order once.

        Raises RefusedError when Stripe will not do it, the same on a repeat; NotPaidError when the
        key is in use or was used for another order, and when the outcome is not known yet.
        """
        now = self._clock()
        payment, new = self._repository.record(order, payer, now, now + self._lease)
        if not new:
            payment = self._repeated(payment, order, payer)
        if payment.status == PENDING:
            payment = self._attempt(payment)
        if payment.refusal is not None:
            raise RefusedError(payment.refusal)
        return payment

    def _repeated(self, payment: Payment, order: Order, payer: Person) -> Payment:
        """The payment of a key that has come before: finished, or taken over."""
        if payment.fingerprint != order.fingerprint:
            message = "This Idempotency-Key was used for another payment; take a new key."
            raise NotPaidError(KEY_REUSED, message)
        if payment.status != PENDING:
            return payment
        now = self._clock()
        if payment.key_forgotten(now):
            message = "The outcome of this payment is not known, and it is too old to repeat."
            raise NotPaidError(UNRESOLVED, message)
        taken = self._repository.take_over(payment, now, now + self._lease, payer)
        if taken is None:
            raise NotPaidError(
                IN_PROGRESS,
                "A request with this Idempotency-Key is being carried out; repeat it in a moment.",
                retry_after_s=1,
            )
        return taken

    def _attempt(self, payment: Payment) -> Payment:
        """Ask Stripe, with no transaction open, and record what came of it."""
        try:
            outcome = self._charged(payment)
        except UnknownOutcomeError as error:
            self._repository.release(payment)  # so that a repeat may try at once
            log.warning("Payment %s stays pending", payment.id)
            raise NotPaidError(
                PROVIDER_ERROR if error.reached else PROVIDER_AWAY,
                "The payment could not be completed; repeat it with the same Idempotency-Key.",
                retry_after_s=2,
            ) from error
        return self._repository.finish(payment, *finished(payment, outcome, self._clock()))

    def _charged(self, payment: Payment) -> Outcome:
        outcome = self._charger.charge(payment.charge)
        if not decided(outcome):
            raise UnknownOutcomeError(f"Stripe has not decided: {outcome}", reached=True)
        return outcome


def decided(outcome: Outcome) -> bool:
    """Whether the outcome is one that a payment can have: no, yes, or the bank is at it."""
    return isinstance(outcome, Refused) or outcome.status in (SUCCEEDED, PROCESSING)


def finished(
    payment: Payment, outcome: Outcome, now: datetime
) -> tuple[Payment, Event[PaymentCompleted] | None]:
    """The payment after this outcome, and the event that tells of it if it has succeeded."""
    status = FAILED if isinstance(outcome, Refused) else outcome.status
    after = replace(
        payment,
        status=status,
        stripe_id=outcome.stripe_id,
        refusal=_refusal(outcome) if isinstance(outcome, Refused) else None,
        finished_at=now,
        lease_until=None,
        retry_at=None,
        payer=payment.payer if status in UNFINISHED else None,
    )
    return after, _completed(payment, outcome, now) if status == SUCCEEDED else None


def _completed(payment: Payment, outcome: Outcome, now: datetime) -> Event[PaymentCompleted] | None:
    if payment.payer is None:
        log.warning("Payment %s succeeded; no receipt is sent, as its payer is unknown", payment.id)
        return None
    completed = PaymentCompleted(
        payment_id=payment.id,
        amount=payment.order.amount,
        currency=payment.order.currency,
        reference=outcome.stripe_id or "",
        payer=payment.payer,
    )
    return happened(completed, at=now)


def _refusal(outcome: Refused) -> dict[str, Any]:
    told = {"status": 402 if outcome.declined else 400, "code": outcome.code}
    if outcome.decline_code:
        told["decline_code"] = outcome.decline_code
    return {**told, "message": outcome.message}
