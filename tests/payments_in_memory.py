"""Payments kept in memory, and a Stripe that charges once for each key: for tests of decisions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from extracted.chassis.clock import utc_now
from extracted.chassis.events import Event
from extracted.chassis.events.payloads import PaymentCompleted, Person
from extracted.payment.charging import (
    PROCESSING,
    Charge,
    Charged,
    Outcome,
    Refused,
    UnknownOutcomeError,
)
from extracted.payment.service import KEY_LIFE, PENDING, UNFINISHED, Order, Payment

ANN = Person(id=1, name="Ann", email="ann@example.org", language="ko")
ORDER = Order(1, "key-1", 1999, "usd", "pm_card_visa")


class KilledError(BaseException):
    """Stands for the end of the process: no handler of the application runs."""


class SetClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **time: float) -> None:
        self.now += timedelta(**time)


@dataclass
class MemoryPayments:
    """Satisfies `Repository` and `Unfinished`; events are kept in the order of their records."""

    kept: dict[int, Payment] = field(default_factory=dict)
    events: list[Event[PaymentCompleted]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def record(
        self, order: Order, payer: Person, now: datetime, lease_until: datetime
    ) -> tuple[Payment, bool]:
        with self.lock:
            for there in self.kept.values():
                if (there.order.user_id, there.order.key) == (order.user_id, order.key):
                    return there, False
            payment = Payment(
                len(self.kept) + 1,
                order,
                order.fingerprint,
                PENDING,
                now,
                lease_until=lease_until,
                payer=payer,
            )
            self.kept[payment.id] = payment
            return payment, True

    def take_over(
        self, payment: Payment, now: datetime, lease_until: datetime, payer: Person | None = None
    ) -> Payment | None:
        with self.lock:
            there = self.kept[payment.id]
            if there.status != payment.status or not _free(there.lease_until, now):
                return None
            change: dict[str, Any] = {"payer": payer} if payer else {}
            self.kept[payment.id] = replace(there, lease_until=lease_until, **change)
            return replace(payment, lease_until=lease_until, **change)

    def finish(
        self, before: Payment, after: Payment, event: Event[PaymentCompleted] | None
    ) -> Payment:
        with self.lock:
            if self.kept[before.id].status == before.status:
                self.kept[before.id] = after
                self.events += [event] if event else []
            return self.kept[before.id]

    def release(self, payment: Payment, retry_at: datetime | None = None) -> None:
        with self.lock:
            there = self.kept[payment.id]
            if (there.status, there.lease_until) == (payment.status, payment.lease_until):
                self.kept[payment.id] = replace(there, lease_until=None, retry_at=retry_at)

    def own(self, user_id: int, payment_id: int) -> Payment | None:
        found = self.kept.get(payment_id)
        return found if found and found.order.user_id == user_id else None

    def all_own(self, user_id: int, offset: int, limit: int) -> Sequence[Payment]:
        own = [each for each in self.kept.values() if each.order.user_id == user_id]
        return sorted(own, key=lambda each: -each.id)[offset : offset + limit]

    def due(
        self, now: datetime, begun_after: datetime, after_id: int, limit: int
    ) -> Sequence[Payment]:
        found = [
            each
            for each in self.kept.values()
            if each.status == PROCESSING
            or (each.status == PENDING and each.created_at > begun_after)
            if each.payer and each.id > after_id
            if _free(each.lease_until, now) and _free(each.retry_at, now)
        ]
        return found[:limit]

    def for_a_person(self, now: datetime, payment_id: int | None = None) -> Sequence[Payment]:
        return [
            each
            for each in self.kept.values()
            if payment_id in {None, each.id}
            if (each.status == PENDING and each.created_at < now - KEY_LIFE)
            or (each.status in UNFINISHED and each.payer is None)
        ]


def _free(until: datetime | None, now: datetime) -> bool:
    return until is None or until <= now


@dataclass
class FakeStripe:
    """Keeps Stripe's promise: one charge for each key. `before` and `after` may raise."""

    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    refusal: Refused | None = None
    status: str = "succeeded"
    charged: dict[str, Charge] = field(default_factory=dict)
    now: dict[str, Outcome] = field(default_factory=dict)
    asked: int = 0

    def charge(self, charge: Charge) -> Outcome:
        self.asked += 1
        self.before()
        if self.refusal:
            return self.refusal
        first = self.charged.setdefault(charge.key, charge)
        assert first == charge, "a key came again with another charge"
        outcome = Charged(f"pi_{charge.key[-12:]}", self.status)
        self.now.setdefault(outcome.stripe_id, outcome)
        self.after()
        return outcome

    def look_up(self, charge: Charge, stripe_id: str) -> Outcome:
        self.asked += 1
        self.before()
        return self.now[stripe_id]

    def find(self, charge: Charge, since: datetime) -> Sequence[Outcome]:
        self.asked += 1
        self.before()
        ids = [f"pi_{key[-12:]}" for key, made in self.charged.items() if made == charge]
        return [self.now[stripe_id] for stripe_id in ids]


def failing(error: BaseException) -> Callable[[], None]:
    """Something that raises this."""

    def fail() -> None:
        raise error

    return fail


def outage() -> UnknownOutcomeError:
    """Stripe cannot be reached."""
    return UnknownOutcomeError("connection refused", reached=False)


def fault() -> UnknownOutcomeError:
    """Stripe answers, and says nothing of use."""
    return UnknownOutcomeError("an internal error", reached=True)
