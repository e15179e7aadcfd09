"""Which of the signing keys signs, and which are published. Pure: the time is a parameter.

A new key is published at once and signs `delay` later, when everybody who checks tokens has had the
time to fetch it; meanwhile the one before it signs. That one stays published until the last token
it has signed is over. All of it follows from when each key was made, so that processes which know
the same keys agree without talking to each other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# How far the clocks of those who sign and those who check may be apart.
SKEW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair for EdDSA (Ed25519), its name, and when it was made."""

    kid: str
    made_at: datetime
    private: Ed25519PrivateKey

    def jwk(self) -> dict[str, Any]:
        """The public key as it is published (RFC 8037, 2)."""
        written = jwt.get_algorithm_by_name("EdDSA").to_jwk(self.private.public_key())
        public: dict[str, Any] = json.loads(written)
        return {**public, "kid": self.kid, "use": "sig", "alg": "EdDSA"}


@dataclass(frozen=True, slots=True)
class Lives:
    """How long a key is published before it signs (`delay`), and how long its tokens live."""

    delay: timedelta
    ttl: timedelta


# What the service and its command take where nothing else is set.
USUAL = Lives(timedelta(seconds=120), timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Standing:
    """A key, from when it signs, and until when it is published if another follows it."""

    key: SigningKey
    signs_from: datetime
    published_until: datetime | None

    def is_published(self, now: datetime) -> bool:
        """Whether tokens of this key are still accepted."""
        return self.published_until is None or now < self.published_until


def standings(keys: Sequence[SigningKey], lives: Lives) -> list[Standing]:
    """All keys in the order in which they sign, the last one being the newest."""
    ordered = sorted(keys, key=lambda key: (key.made_at, key.kid))
    # The first key signs from the beginning: nobody has another one.
    starts = [
        key.made_at + (lives.delay if place else timedelta()) for place, key in enumerate(ordered)
    ]
    ends = [start + lives.ttl + SKEW for start in starts[1:]]
    return [
        Standing(key, start, end)
        for key, start, end in zip(ordered, starts, [*ends, None], strict=True)
    ]


def signer(keys: Sequence[SigningKey], lives: Lives, now: datetime) -> SigningKey:
    """The newest key whose time to sign has come; before any has, the oldest."""
    order = standings(keys, lives)
    ready = [each.key for each in order if each.signs_from <= now]
    return ready[-1] if ready else order[0].key


def published(keys: Sequence[SigningKey], lives: Lives, now: datetime) -> list[SigningKey]:
    """The keys whose tokens are accepted, among them the one that is to sign next."""
    return [each.key for each in standings(keys, lives) if each.is_published(now)]
