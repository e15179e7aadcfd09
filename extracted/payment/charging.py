"""The charge of a card, as a port: what is asked of Stripe, and what can come of it.

Opens no sockets and reads no clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

SUCCEEDED, PROCESSING = "succeeded", "processing"


@dataclass(frozen=True, slots=True)
class Charge:
    """What to charge: `amount` in minor units, and the key under which Stripe does it once.

    Stripe refuses a key that comes again with anything changed, metadata included.
    """

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


Outcome = Charged | Refused


class UnknownOutcomeError(Exception):
    """Nobody knows what has become of a charge. `reached` says whether Stripe answered at all."""

    def __init__(self, message: str, *, reached: bool) -> None:
        super().__init__(message)
        self.reached = reached


class Charger(Protocol):
    """Charges cards. Every method raises UnknownOutcomeError when there is no answer to rely on."""

    def charge(self, charge: Charge) -> Outcome:
        """Charge once for each key, or give again the outcome that this key has had before."""
        ...

    def look_up(self, charge: Charge, stripe_id: str) -> Outcome:
        """How far this charge is now, which has this id; that of another one tells nothing."""
        ...

    def find(self, charge: Charge, since: datetime) -> Sequence[Outcome]:
        """The charges with this metadata, amount and currency made since then, whatever their key.

        What was made in the last hour may be missing.
        """
        ...


def stripe_key(user_id: int, key: str) -> str:
    """The key that Stripe sees: one for each user and key, of Stripe's length, telling neither.

    The monolith makes the same, so that a payment begun there and repeated here is charged once.
    """
    return "blog-" + hashlib.sha256(f"{user_id}:{key}".encode()).hexdigest()
