"""A payment, charged once for each (user, key), whatever dies between its steps.

The intent is recorded and committed before Stripe is called, and finished after. A repeat finds
the record: a finished one is answered again; a pending one is taken over when nobody works on
it, with the same key at Stripe, which then charges only once. While another request works on it
(its lease runs) a repeat is told 409 `payment_in_progress` with Retry-After: waiting inside the
request would let a few impatient clients hold every thread.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from monolith.clock import Clock
from monolith.errors import ApiError, not_found
from monolith.inputs import Page
from monolith.models import Payment
from monolith.payments.charging import (
    Charge,
    Charged,
    Charger,
    Refused,
    UnknownOutcomeError,
    stripe_key,
)

log = logging.getLogger(__name__)

# Stripe forgets keys after 24 hours; a repeat under a forgotten key would charge again.
KEY_LIFE = timedelta(hours=23)


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
class Paid:
    """A finished payment; `first` when this request finished it, and not an earlier one."""

    payment: Payment
    first: bool


class Payments:
    """Takes payments, with `lease_s` seconds for each attempt at Stripe."""

    def __init__(self, charger: Charger, clock: Clock, lease_s: float) -> None:
        self._charger = charger
        self._clock = clock
        self._lease = timedelta(seconds=lease_s)

    def pay(self, session: Session, order: Order) -> Paid:
        """Charge the order once.

        Raises:
            ApiError: 402 when declined and 400 when Stripe cannot take it, the same on a repeat;
                409 for a key in use or used for another order; 502 or 503 when the outcome is
                not known yet, to be repeated under the same key.
        """
        payment = self._record(session, order)
        if payment is None:
            payment = self._recorded(session, order)
            if payment.status != "pending":
                return _again(payment)
            self._take_over(session, payment)
        return self._charge(session, payment, order)

    def _record(self, session: Session, order: Order) -> Payment | None:
        """Commit the intent and its lease; None when this key has been seen before."""
        now = self._clock()
        payment = Payment(
            user_id=order.user_id,
            idempotency_key=order.key,
            fingerprint=order.fingerprint,
            amount=order.amount,
            currency=order.currency,
            payment_method=order.payment_method,
            status="pending",
            lease_until=now + self._lease,
            created_at=now,
        )
        session.add(payment)
        try:
            session.commit()
        except IntegrityError:
            session.rollback()
            if session.scalar(select(Payment.id).where(*_this(order))) is None:
                raise  # tables that are shut, for instance, are no repeat
            return None
        return payment

    def _recorded(self, session: Session, order: Order) -> Payment:
        payment = session.scalars(select(Payment).where(*_this(order))).one()
        session.commit()
        if payment.fingerprint != order.fingerprint:
            message = "This Idempotency-Key was used for another payment; take a new key."
            raise ApiError(409, "idempotency_key_reused", message)
        return payment

    def _take_over(self, session: Session, payment: Payment) -> None:
        """Become the one request that works on a pending payment, or raise 409."""
        now = self._clock()
        if payment.created_at + KEY_LIFE < now:
            message = "The outcome of this payment is not known, and it is too old to repeat."
            raise ApiError(409, "payment_unresolved", message)
        taken = session.execute(
            update(Payment)
            .where(Payment.id == payment.id, Payment.status == "pending")
            .where(or_(Payment.lease_until.is_(None), Payment.lease_until <= now))
            .values(lease_until=now + self._lease)
            .execution_options(synchronize_session=False)
        )
        session.commit()
        if taken.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE's result is a CursorResult
            raise ApiError(
                409,
                "payment_in_progress",
                "A request with this Idempotency-Key is being carried out; repeat it in a moment.",
                headers={"Retry-After": "1"},
            )

    def _charge(self, session: Session, payment: Payment, order: Order) -> Paid:
        """Ask Stripe, with no transaction open, and record what came of it."""
        charge = Charge(
            amount=order.amount,
            currency=order.currency,
            payment_method=order.payment_method,
            key=stripe_key(order.user_id, order.key),
            metadata={"payment_id": str(payment.id)},
        )
        try:
            outcome = self._charger.charge(charge)
        except UnknownOutcomeError as error:
            self._release(session, payment, error)
        first = self._end(session, payment, outcome)
        _raise_if_refused(payment)
        return Paid(payment, first)

    def _end(self, session: Session, payment: Payment, outcome: Charged | Refused) -> bool:
        """Record what came of it; False when another attempt has, and then that stands.

        One that was paused past its lease may come second: it must not be told of twice.
        """
        ended = session.execute(
            update(Payment)
            .where(Payment.id == payment.id, Payment.status == "pending")
            .values(finished_at=self._clock(), lease_until=None, **_recorded_as(outcome))
            .execution_options(synchronize_session=False)
        )
        session.refresh(payment)
        session.commit()
        return bool(ended.rowcount == 1)  # type: ignore[attr-defined]  # as above

    def _release(self, session: Session, payment: Payment, error: UnknownOutcomeError) -> NoReturn:
        """Let a repeat try at once, and say that it may."""
        payment.lease_until = None
        session.commit()
        log.warning("Payment %s stays pending", payment.id)
        raise ApiError(
            502 if error.reached else 503,
            "payment_provider_error" if error.reached else "payment_provider_unavailable",
            "The payment could not be completed; repeat it with the same Idempotency-Key.",
            headers={"Retry-After": "2"},
        ) from error


def _this(order: Order) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return Payment.user_id == order.user_id, Payment.idempotency_key == order.key


def _again(payment: Payment) -> Paid:
    _raise_if_refused(payment)
    return Paid(payment, first=False)


def _recorded_as(outcome: Charged | Refused) -> dict[str, Any]:
    if isinstance(outcome, Refused):
        told = {"status": "failed", "refusal": _refusal(outcome)}
        return {**told, "stripe_id": outcome.stripe_id}
    return {"status": outcome.status, "stripe_id": outcome.stripe_id}


def _refusal(outcome: Refused) -> dict[str, Any]:
    told = {"status": 402 if outcome.declined else 400, "code": outcome.code}
    if outcome.decline_code:
        told["decline_code"] = outcome.decline_code
    return {**told, "message": outcome.message}


def _raise_if_refused(payment: Payment) -> None:
    if payment.refusal is not None:
        raise ApiError(**payment.refusal)


def own(session: Session, user_id: int, payment_id: int) -> Payment:
    """The user's payment with this id. Raises ApiError 404, for somebody else's too."""
    payment = session.get(Payment, payment_id)
    if payment is None or payment.user_id != user_id:
        raise not_found("payment")
    return payment


def all_own(session: Session, user_id: int, page: Page) -> Sequence[Payment]:
    """One page of the user's payments, newest first."""
    query = select(Payment).where(Payment.user_id == user_id).order_by(Payment.id.desc())
    return session.scalars(query.limit(page.size).offset(page.offset)).all()
