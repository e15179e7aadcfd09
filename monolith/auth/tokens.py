"""JSON Web Tokens, HS256: made at login, checked by signature alone. Touches no database.

Those that the auth service has signed are checked by its seam.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import jwt
from flask import Request

from monolith.clock import Clock
from monolith.errors import ApiError
from monolith.models import User

KEY_PAIR_ALGORITHMS = ("EdDSA", "RS256")
# When it was made is not compared: the signer's clock may be a little ahead of this one.
OPTIONS: jwt.types.Options = {"require": ["sub", "exp"], "verify_iat": False}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a valid token speaks for. `token` is the text itself, to be passed on to services."""

    user_id: int
    token: str


class SignedElsewhere(Protocol):
    """Checks the tokens that somebody else has signed with a key pair."""

    def user_id(self, token: str) -> int:
        """Whom the token speaks for. Raises ApiError: 401, or 503 when that cannot be told now."""
        ...


class Tokens:
    """Makes and checks tokens with one secret; they live `ttl_s` seconds.

    With `elsewhere` it accepts those of the auth service too, whoever answers for accounts now:
    tokens outlive the step and its undo.
    """

    def __init__(
        self, secret: str, ttl_s: int, clock: Clock, elsewhere: SignedElsewhere | None = None
    ) -> None:
        self._secret = secret
        self._elsewhere = elsewhere
        self._ttl = timedelta(seconds=ttl_s)
        self._clock = clock

    def issue(self, user: User) -> tuple[str, datetime]:
        """A token for the user, and the moment it ends."""
        now = self._clock().replace(microsecond=0)
        expires = now + self._ttl
        claims = {
            "sub": str(user.id),
            "email": user.email,
            "name": user.name,
            "iat": now,
            "exp": expires,
        }
        return jwt.encode(claims, self._secret, algorithm="HS256"), expires

    def caller(self, token: str) -> Caller:
        """Whom the token speaks for. Raises ApiError 401 for anything but a valid, live token."""
        if self._elsewhere is not None and _has_key_pair(token):
            return Caller(self._elsewhere.user_id(token), token)
        try:
            claims = jwt.decode(token, self._secret, algorithms=["HS256"], options=OPTIONS)
            return Caller(int(claims["sub"]), token)
        except jwt.ExpiredSignatureError:
            raise unauthorized("The token has expired; log in again.") from None
        except (jwt.InvalidTokenError, ValueError):
            raise unauthorized("The token is not valid.") from None

    def require(self, request: Request) -> Caller:
        """Whom the request's `Authorization: Bearer` speaks for. Raises ApiError 401."""
        return self.caller(bearer(request))


def _has_key_pair(token: str) -> bool:
    """Whether the token says that it was signed with one; that alone proves nothing."""
    try:
        return jwt.get_unverified_header(token).get("alg") in KEY_PAIR_ALGORITHMS
    except jwt.InvalidTokenError:
        return False


def bearer(request: Request) -> str:
    """The token of the Authorization header. Raises ApiError 401 when there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("Send the token as `Authorization: Bearer <token>`.")
    return token.strip()


def unauthorized(message: str) -> ApiError:
    """The 401 for a missing or wrong token."""
    return ApiError(401, "invalid_token", message, headers={"WWW-Authenticate": "Bearer"})
