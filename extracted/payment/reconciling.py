"""Payments that no client brings to an end: begun and never repeated, or still processing.

A pending one is asked for again under its own key, as a repeat would do it; where Stripe answers
with a fault, which it keeps under the key, it is looked for. Once Stripe may have forgotten the
key, it is only looked for, and what is not found is left to a person. A processing
one is looked up until it has succeeded or failed. Several reconcilers, and clients that repeat
after all, do not meet: whoever works on a payment has its lease.

Knows neither HTTP nor SQL.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from extracted.chassis.clock import Clock
from extracted.payment.charging import (
    PROCESSING,
    SUCCEEDED,
    Charged,
    Charger,
    Outcome,
    UnknownOutcomeError,
)
from extracted.payment.service import FAILED, Payment, Repository, decided, finished

log = logging.getLogger(__name__)

AT_ONCE = 50
SOONEST, LATEST = timedelta(seconds=10), timedelta(hours=1)
# Stripe's search may lag behind; what it has not found after this long it will not find.
SEARCHED_FOR = timedelta(days=7)
# How far Stripe's clock may be behind ours.
CLOCKS_APART = timedelta(minutes=5)


class Unfinished(Repository, Protocol):
    """The payments, and which of them wait for somebody."""

    def due(
        self, now: datetime, begun_after: datetime, after_id: int, limit: int
    ) -> Sequence[Payment]:
        """Some that nobody is on and that may be asked for now, by id, from after this one on.

        Processing ones, and pending ones begun after that moment; none whose payer is unknown.
        """
        ...


@dataclass(slots=True)
class Tally:
    """What a round came to. `waiting` are those that will be asked for again."""

    succeeded: int = 0
    failed: int = 0
    waiting: int = 0

    def count(self, payment: Payment | None) -> None:
        """Count a payment as it is now; None for one that nothing was found out about."""
        if payment is not None and payment.status == SUCCEEDED:
            self.succeeded += 1
        elif payment is not None and payment.status == FAILED:
            self.failed += 1
        else:
            self.waiting += 1


class Reconciler:
    """Brings payments to an end, with `lease_s` seconds for each question to Stripe."""

    def __init__(
        self, repository: Unfinished, charger: Charger, clock: Clock, lease_s: float
    ) -> None:
        self._repository = repository
        self._charger = charger
        self._clock = clock
        self._lease = timedelta(seconds=lease_s)

    def round(self, stop: Callable[[], bool] = lambda: False) -> Tally:
        """Ask once for each payment that is due.

        Raises UnknownOutcomeError when Stripe cannot be reached, and what the database raises; what
        was found out before is kept.
        """
        tally = Tally()
        for payment in self._due():
            if stop():
                break
            now = self._clock()
            taken = self._repository.take_over(payment, now, now + self._lease)
            if taken is not None:
                tally.count(self._settle(taken))
        return tally

    def _due(self) -> Iterator[Payment]:
        last = 0
        while True:
            now = self._clock()
            page = self._repository.due(now, now - SEARCHED_FOR, last, AT_ONCE)
            if not page:
                return
            yield from page
            last = page[-1].id

    def _settle(self, payment: Payment) -> Payment | None:
        """The payment as it ended, or None when it has to wait; its lease is given back."""
        try:
            outcome = self._asked(payment)
        except UnknownOutcomeError as error:
            if not error.reached:
                # Not at once: one that Stripe never answers in time would hold up all behind it.
                self._repository.release(payment, self._clock() + SOONEST)
                raise
            log.warning("Payment %s is asked for again later: %s", payment.id, error)
            outcome = None
        if outcome is None or _undecided(payment, outcome):
            now = self._clock()
            self._repository.release(payment, now + patience(now - payment.created_at))
            return None
        return self._repository.finish(payment, *finished(payment, outcome, self._clock()))

    def _asked(self, payment: Payment) -> Outcome | None:
        if payment.status == PROCESSING:
            return self._charger.look_up(payment.charge, payment.stripe_id or "")
        if payment.key_forgotten(self._clock()):
            return self._found(payment)
        try:
            return self._charger.charge(payment.charge)
        except UnknownOutcomeError as error:
            if not error.reached:
                raise
            # Stripe keeps a fault under the key, and may have charged before it.
            log.warning("Payment %s is looked for at Stripe: %s", payment.id, error)
            return self._found(payment)

    def _found(self, payment: Payment) -> Outcome | None:
        found = self._charger.find(payment.charge, payment.created_at - CLOCKS_APART)
        if len(found) == 1:
            return found[0]
        log.warning("Payment %s stays as it is: Stripe has %d of it", payment.id, len(found))
        return None


def patience(age: timedelta) -> timedelta:
    """How long to leave a payment of this age alone: longer and longer, up to an hour."""
    return min(max(age / 4, SOONEST), LATEST)


def _undecided(payment: Payment, outcome: Outcome) -> bool:
    """Whether the outcome leaves the payment where it is."""
    if not decided(outcome):
        return True
    still_processing = isinstance(outcome, Charged) and outcome.status == PROCESSING
    return still_processing and payment.status == PROCESSING
