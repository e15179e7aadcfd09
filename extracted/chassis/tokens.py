"""Who calls: the token's signature and end are checked here, by a secret or by public keys.

A token says itself how it is signed, and that decides what it is checked with: HS256 by the secret
alone, EdDSA and RS256 by the key of its name alone. So a public key is never taken for a secret.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from flask import Request

from extracted.chassis.errors import Refusal
from extracted.chassis.key_watch import KeyWatch
from extracted.chassis.keys import ASK_AGAIN_S, JwksKeys, Keys, KeysUnavailableError
from extracted.chassis.settings import Environment, http_url, secret

BY_KEY = ("EdDSA", "RS256")
INVALID = "The token is not valid."
# When it was made is not compared: the signer's clock may be a little ahead of this one.
OPTIONS: jwt.types.Options = {"require": ["sub", "exp"], "verify_iat": False}


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
    """Checks the tokens that the blog's accounts give out: the monolith's with the `secret`, those
    of the auth service with its `keys`. Without one of the two, those tokens are not valid.

    With a `watch` on the keys, `start` and `stop` are its.
    """

    def __init__(
        self, secret: str | None, keys: Keys | None = None, watch: KeyWatch | None = None
    ) -> None:
        self._secret = secret
        self._keys = keys
        self._watch = watch

    def start(self) -> None:
        """Begin to fetch keys, in a thread; after any fork. Without it, a token has to need one."""
        if self._watch is not None:
            self._watch.start()

    def stop(self) -> None:
        """End that."""
        if self._watch is not None:
            self._watch.stop()

    def require(self, request: Request) -> Caller:
        """Whom the request's `Authorization: Bearer` speaks for. Raises as `caller` does."""
        return self.caller(bearer(request))

    def caller(self, token: str) -> Caller:
        """Whom the token speaks for.

        Raises Refusal: 401 for anything but a valid, live token, 503 when its key is not known
        and whoever signed it cannot be asked.
        """
        try:
            algorithm, key = self._means(jwt.get_unverified_header(token))
            claims = jwt.decode(token, key, algorithms=[algorithm], options=OPTIONS)
            return _caller(claims, token)
        except jwt.ExpiredSignatureError:
            raise unauthorized("The token has expired; log in again.") from None
        except (jwt.InvalidTokenError, ValueError):
            raise unauthorized(INVALID) from None
        except KeysUnavailableError as error:
            message = "The token cannot be checked at the moment; try again later."
            headers = {"Retry-After": str(math.ceil(ASK_AGAIN_S))}
            raise Refusal(503, "keys_unavailable", message, headers=headers) from error

    def _means(self, header: dict[str, Any]) -> tuple[str, str | jwt.PyJWK]:
        """What a token with this header is checked with. Raises InvalidTokenError."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm == "HS256" and self._secret is not None:
            return algorithm, self._secret
        if algorithm in BY_KEY and self._keys is not None and kid is not None:
            key = self._keys.find(kid)
            if key is not None:
                return algorithm, key
        raise jwt.InvalidTokenError("nothing here checks such a token")


@dataclass(frozen=True, slots=True, repr=False)  # it has secrets
class TokenSettings:
    """What tokens are checked with, in a service's settings: a secret, an issuer's keys, or both.

    `jwks_cache` is the file in which those keys are kept over a restart.
    """

    secret: str | None = None
    jwks_url: str | None = None
    jwks_cache: Path | None = None

    @classmethod
    def read(cls, environment: Environment) -> TokenSettings:
        """From JWT_SECRET, JWKS_URL and JWKS_CACHE; one of the first two has to be set."""
        jwks_url = environment.optional("JWKS_URL", http_url)
        read_secret = environment.read if jwks_url is None else environment.optional
        return cls(
            read_secret("JWT_SECRET", secret), jwks_url, environment.optional("JWKS_CACHE", Path)
        )

    def verifier(self) -> TokenVerifier:
        """What checks them. Asks nobody before its `start`, or a token that needs a key."""
        if self.jwks_url is None:
            return TokenVerifier(self.secret)
        keys = JwksKeys(self.jwks_url, self.jwks_cache)
        return TokenVerifier(self.secret, keys, KeyWatch(keys))


def bearer(request: Request) -> str:
    """The token of the Authorization header. Raises Refusal 401 when there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("Send the token as `Authorization: Bearer <token>`.")
    return token.strip()


def unauthorized(message: str) -> Refusal:
    """The 401 for a missing or wrong token."""
    return Refusal(401, "invalid_token", message, headers={"WWW-Authenticate": "Bearer"})


def _caller(claims: dict[str, Any], token: str) -> Caller:
    """Raises ValueError when the subject is no number."""
    name, email = (str(claims.get(claim, "")) for claim in ("name", "email"))
    return Caller(int(claims["sub"]), token, name, email)
