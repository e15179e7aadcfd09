"""Who writes: read from a token that is checked here, or told by the auth service.

Checked here, a request costs no call and stands when the auth service is down; name and email are
then as old as the token. Asked for, they are fresh, and every write needs the auth service.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

import jwt
from flask import Request

from extracted.chassis.client import ServiceClient
from extracted.chassis.clock import Clock
from extracted.chassis.languages import language
from extracted.chassis.places import Places
from extracted.chassis.tokens import TokenVerifier, bearer, unauthorized
from extracted.posts.asking import Asked
from extracted.posts.model import Writer

TIMEOUT_S = 5.0
# A token is checked within milliseconds: whoever finds all places taken gets one soon, or never.
WAIT_FOR_PLACE_S = 0.5
VERIFIED = {"user_id": int, "name": str, "email": str}


class Callers(Protocol):
    """Finds out for whom a request speaks."""

    def require(self, request: Request) -> Writer:
        """Who calls. Raises Refusal: 401 without a valid token, 503 when nobody can tell."""
        ...

    def start(self) -> None:
        """Begin what runs beside the requests; after any fork."""
        ...

    def close(self) -> None:
        """End that, and close what is open."""
        ...


class SignedTokens:
    """By the token's signature, and what it claims."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    def require(self, request: Request) -> Writer:
        """See `Callers`."""
        caller = self._verifier.require(request)
        if not (caller.name and caller.email):
            raise unauthorized("The token does not say whose it is; log in again.")
        told_at = _issued_at(caller.token)
        return Writer(caller.user_id, caller.name, caller.email, told_at, language(request))

    def start(self) -> None:
        """See `Callers`."""
        self._verifier.start()

    def close(self) -> None:
        """See `Callers`."""
        self._verifier.stop()


class AskedTokens:
    """By `POST /verify` of the auth service at `url`, behind a breaker of its own.

    It is asked by `at_once` threads at most.
    """

    def __init__(self, url: str, clock: Clock, at_once: int) -> None:
        self._client = ServiceClient(url, timeout_s=TIMEOUT_S)
        self._clock = clock
        self._service = Asked(
            self._client,
            Places(at_once, WAIT_FOR_PLACE_S),
            "auth_service_unavailable",
            "The token cannot be checked at the moment; try again later.",
        )

    def require(self, request: Request) -> Writer:
        """See `Callers`."""
        token, asked_at = bearer(request), self._clock()
        told = self._service.post("/verify", VERIFIED, token=token)
        return Writer(told["user_id"], told["name"], told["email"], asked_at, language(request))

    def start(self) -> None:
        """See `Callers`. There is nothing."""

    def close(self) -> None:
        """See `Callers`."""
        self._client.close()


def _issued_at(token: str) -> datetime:
    """When a token was made that has been checked before; 1970 when it does not say."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return datetime.fromtimestamp(claims.get("iat", 0), UTC)
