"""The keys and tokens of a run: made anew for each, and known to all contenders alike.

Two hundred callers with a token each take turns, so that a proxy which remembers what it has
verified may do so, as it would in service, but does not live on one token alone.
"""

import base64
import json
import secrets
import time
from functools import cache

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

CALLERS = 200
KEY_ID = "bench"
JWKS_FILE = "jwks.json"
SECRET_VARIABLE = "BENCH_JWT_SECRET"  # noqa: S105 - the name of a variable
_LIFETIME_S = 86_400


@cache
def secret() -> str:
    """The shared secret of HS256."""
    return secrets.token_urlsafe(48)


@cache
def _private_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65_537, key_size=2048)


def shared_jwks() -> str:
    """The shared secret as a key set, for proxies that take it in no other form."""
    key = base64.urlsafe_b64encode(secret().encode()).rstrip(b"=").decode()
    return json.dumps({"keys": [{"kty": "oct", "alg": "HS256", "kid": KEY_ID, "k": key}]})


def issuer_jwks() -> str:
    """The issuer's public key of RS256."""
    key = RSAAlgorithm.to_jwk(_private_key().public_key(), as_dict=True)
    return json.dumps({"keys": [{**key, "alg": "RS256", "use": "sig", "kid": KEY_ID}]})


def subject(number: int) -> str:
    """Whom a token names."""
    return f"user-{number}"


@cache
def shared_tokens() -> tuple[str, ...]:
    """A valid HS256 token for each caller."""
    return tuple(_token(number, secret(), "HS256") for number in range(CALLERS))


@cache
def issued_tokens() -> tuple[str, ...]:
    """A valid RS256 token for each caller."""
    return tuple(_token(number, _private_key(), "RS256") for number in range(CALLERS))


@cache
def refused_tokens() -> dict[str, str]:
    """Tokens that none may let pass, by what is wrong with them."""
    good = shared_tokens()[0]
    return {
        "expired": _token(0, secret(), "HS256", lifetime_s=-3600),
        "signed by somebody else": _token(0, secrets.token_urlsafe(48), "HS256"),
        "not signed at all": ".".join([_unsigned_head(), good.split(".")[1], ""]),
    }


def _unsigned_head() -> str:
    return base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()


def _token(
    number: int, key: str | RSAPrivateKey, algorithm: str, lifetime_s: int = _LIFETIME_S
) -> str:
    now = int(time.time())
    claims = {"sub": subject(number), "iat": now - 7200, "exp": now + lifetime_s}
    return jwt.encode(claims, key, algorithm, headers={"kid": KEY_ID})
