"""Payments in SQL: MySQL, MariaDB or SQLite. Each call is one transaction, ended when it returns.

Two may work on one payment only if a lease ran out under the first. What decides then is the
database: every change of a row names the status, and the lease, that it was found with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, insert, or_, select, true, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from extracted.chassis.events import Event
from extracted.chassis.events.payloads import PaymentCompleted, Person
from extracted.chassis.outbox import Outbox
from extracted.payment.charging import PROCESSING
from extracted.payment.service import KEY_LIFE, PENDING, UNFINISHED, Order, Payment
from extracted.payment.tables import payments

rows = payments.c


class SqlPayments:
    """See `Repository` and `Unfinished`."""

    def __init__(self, sessions: sessionmaker[Session], outbox: Outbox) -> None:
        self._sessions = sessions
        self._outbox = outbox

    def record(
        self, order: Order, payer: Person, now: datetime, lease_until: datetime
    ) -> tuple[Payment, bool]:
        """See `Repository`."""
        payment = Payment(
            0, order, order.fingerprint, PENDING, now, lease_until=lease_until, payer=payer
        )
        try:
            with self._sessions.begin() as session:
                added = session.connection().execute(insert(payments).values(_written(payment)))
        except IntegrityError:
            found = self._all(rows.user_id == order.user_id, rows.idempotency_key == order.key)
            if not found:
                raise  # it was not the key: a fence of a move, for instance
            return found[0], False
        return replace(payment, id=added.inserted_primary_key[0]), True  # type: ignore[index]  # one row

    def take_over(
        self, payment: Payment, now: datetime, lease_until: datetime, payer: Person | None = None
    ) -> Payment | None:
        """See `Repository`."""
        taken = replace(payment, lease_until=lease_until, payer=payer or payment.payer)
        values = {"lease_until": lease_until, **(_person(payer) if payer else {})}
        free = or_(rows.lease_until.is_(None), rows.lease_until <= now)
        return taken if self._change(payment, free, values) else None

    def finish(
        self, before: Payment, after: Payment, event: Event[PaymentCompleted] | None
    ) -> Payment:
        """See `Repository`."""
        with self._sessions.begin() as session:
            change = update(payments).where(_still(before)).values(_written(after))
            if session.connection().execute(change).rowcount == 1:
                if event is not None:
                    self._outbox.record(session, event)
                return after
        return self._all(rows.id == before.id)[0]

    def release(self, payment: Payment, retry_at: datetime | None = None) -> None:
        """See `Repository`."""
        mine = rows.lease_until == payment.lease_until
        self._change(payment, mine, {"lease_until": None, "retry_at": retry_at})

    def own(self, user_id: int, payment_id: int) -> Payment | None:
        """See `Repository`."""
        found = self._all(rows.user_id == user_id, rows.id == payment_id)
        return found[0] if found else None

    def all_own(self, user_id: int, offset: int, limit: int) -> Sequence[Payment]:
        """See `Repository`."""
        query = select(payments).where(rows.user_id == user_id).order_by(rows.id.desc())
        with self._sessions() as session:
            return [_read(row) for row in session.execute(query.limit(limit).offset(offset))]

    def due(
        self, now: datetime, begun_after: datetime, after_id: int, limit: int
    ) -> Sequence[Payment]:
        """See `Unfinished`."""
        return self._all(
            or_(
                rows.status == PROCESSING,
                and_(rows.status == PENDING, rows.created_at > begun_after),
            ),
            rows.payer_email.is_not(None),
            or_(rows.lease_until.is_(None), rows.lease_until <= now),
            or_(rows.retry_at.is_(None), rows.retry_at <= now),
            rows.id > after_id,
            limit=limit,
        )

    def for_a_person(self, now: datetime, payment_id: int | None = None) -> Sequence[Payment]:
        """Those that are not brought to an end here: too old to repeat, or of an unknown payer.

        With an id that one alone, if it is among them.
        """
        return self._all(
            or_(
                and_(rows.status == PENDING, rows.created_at < now - KEY_LIFE),
                and_(rows.status.in_(UNFINISHED), rows.payer_email.is_(None)),
            ),
            true() if payment_id is None else rows.id == payment_id,
        )

    def _all(self, *where: ColumnElement[bool], limit: int | None = None) -> Sequence[Payment]:
        query = select(payments).where(*where).order_by(rows.id).limit(limit)
        with self._sessions() as session:
            return [_read(row) for row in session.execute(query)]

    def _change(self, payment: Payment, where: ColumnElement[bool], values: dict[str, Any]) -> bool:
        with self._sessions.begin() as session:
            change = update(payments).where(_still(payment), where).values(values)
            return session.connection().execute(change).rowcount == 1


def _still(payment: Payment) -> ColumnElement[bool]:
    return and_(rows.id == payment.id, rows.status == payment.status)


def _written(payment: Payment) -> dict[str, Any]:
    """The row of a payment, without its id."""
    order = payment.order
    return {
        "user_id": order.user_id,
        "idempotency_key": order.key,
        "fingerprint": payment.fingerprint,
        "amount": order.amount,
        "currency": order.currency,
        "payment_method": order.payment_method,
        "status": payment.status,
        "stripe_id": payment.stripe_id,
        "refusal": payment.refusal,
        "lease_until": payment.lease_until,
        "created_at": payment.created_at,
        "finished_at": payment.finished_at,
        "retry_at": payment.retry_at,
        **_person(payment.payer),
    }


def _person(payer: Person | None) -> dict[str, Any]:
    return {
        "payer_name": payer.name if payer else None,
        "payer_email": payer.email if payer else None,
        "payer_language": payer.language if payer else None,
    }


def _read(row: Row[Any]) -> Payment:
    order = Order(row.user_id, row.idempotency_key, row.amount, row.currency, row.payment_method)
    return Payment(
        row.id,
        order,
        row.fingerprint,
        row.status,
        row.created_at,
        stripe_id=row.stripe_id,
        refusal=row.refusal,
        lease_until=row.lease_until,
        retry_at=row.retry_at,
        finished_at=row.finished_at,
        payer=_payer(row),
    )


def _payer(row: Row[Any]) -> Person | None:
    """Who pays, if that is known; a moved row does not say in which language."""
    if row.payer_email is None:
        return None
    written = {"language": row.payer_language} if row.payer_language else {}
    return Person(id=row.user_id, name=row.payer_name or "", email=row.payer_email, **written)
