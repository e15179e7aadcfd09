"""Who calls: the token's signature and end are checked here, without asking anybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jwt
from flask import Request

from extracted.chassis.errors import Refusal


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a valid token speaks for; `token` is the text itself, to be passed on to services.

    `name` and `email` are as they were when the token was made, or empty if it does not say.
    """

    user_id: int
    token: str = ""
    name: str = ""
    email: str = ""


class TokenVerifier:
    """Checks the HS256 tokens that the blog's accounts give out."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def require(self, request: Request) -> Caller:
        """Whom the request's `Authorization: Bearer` speaks for. Raises Refusal 401."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _unauthorized("Send the token as `Authorization: Bearer <token>`.")
        try:
            claims = jwt.decode(
                token.strip(),
                self._secret,
                algorithms=["HS256"],
                options={"require": ["sub", "exp"]},
            )
            return _caller(claims, token.strip())
        except jwt.ExpiredSignatureError:
            raise _unauthorized("The token has expired; log in again.") from None
        except (jwt.InvalidTokenError, ValueError):
            raise _unauthorized("The token is not valid.") from None


def _caller(claims: dict[str, Any], token: str) -> Caller:
    """Raises ValueError when the subject is no number."""
    name, email = (str(claims.get(claim, "")) for claim in ("name", "email"))
    return Caller(int(claims["sub"]), token, name, email)


def _unauthorized(message: str) -> Refusal:
    return Refusal(401, "invalid_token", message, headers={"WWW-Authenticate": "Bearer"})
