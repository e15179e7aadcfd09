"""JSON Web Tokens signed by a key pair: made at login, checked by whoever fetches the public keys.

Touches no database. The claims are the monolith's; what is new is how they are signed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import jwt

from extracted.auth.keyfolder import KeyFolder
from extracted.auth.keyring import Lives, SigningKey, published, signer
from extracted.auth.service import User
from extracted.chassis.clock import Clock


class Issuer:
    """Makes tokens, and knows the keys that they are checked with (`chassis.keys.Keys`)."""

    def __init__(self, folder: KeyFolder, lives: Lives, clock: Clock) -> None:
        self._folder = folder
        self._lives = lives
        self._clock = clock

    def issue(self, user: User, read_at: datetime) -> tuple[str, datetime]:
        """A token for the user, and the moment it ends; `read_at` is from before the user was read.

        That is when it was made, as whoever keeps copies of names has it: a password takes its time
        to be checked, and a token must not seem to know better than a rename meanwhile.
        """
        now = read_at.replace(microsecond=0)
        expires = now + self._lives.ttl
        claims = {
            "sub": str(user.id),
            "email": user.email,
            "name": user.name,
            "iat": now,
            "exp": expires,
        }
        key = signer(self._folder.current(), self._lives, read_at)
        return jwt.encode(claims, key.private, "EdDSA", headers={"kid": key.kid}), expires

    def jwks(self) -> dict[str, Any]:
        """The public keys, as a JWK set (RFC 7517, 5)."""
        return {"keys": [key.jwk() for key in self._published()]}

    def find(self, kid: str) -> jwt.PyJWK | None:
        """See `chassis.keys.Keys`; never unavailable, as the keys are here."""
        found = [key for key in self._published() if key.kid == kid]
        return jwt.PyJWK(found[0].jwk(), "EdDSA") if found else None

    def _published(self) -> list[SigningKey]:
        return published(self._folder.current(), self._lives, self._clock())
