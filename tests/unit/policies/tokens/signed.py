"""Keys, tokens signed with them, and checks that take those keys."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from strangler_proxy.config import TokenCheck
from strangler_proxy.policies.tokens import (
    Rejected,
    Verifier,
)

NOW = 1_700_000_000.0
SECRET = "a secret of more than thirty-two bytes"
JWKS_URL = "http://issuer.test/keys"
KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
CLAIMS = {"sub": "42", "exp": NOW + 60}


def jwk(algorithm: str, key: Any = None, **members: Any) -> dict[str, Any]:
    """The public half of a key as an issuer publishes it, named after its algorithm."""
    public = (key or KEYS[algorithm]).public_key()
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(public, as_dict=True)
    return {**made, "kid": algorithm, "use": "sig", "alg": algorithm, **members}


JWKS = {"keys": [jwk(algorithm) for algorithm in KEYS]}


def b64(content: bytes) -> bytes:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def compact(header: bytes, claims: bytes, secret: bytes = SECRET.encode()) -> bytes:
    """A token of just these bytes, with a good HS256 signature."""
    signed = b64(header) + b"." + b64(claims)
    return signed + b"." + b64(hmac.digest(secret, signed, hashlib.sha256))


def bearer(
    algorithm: str = "HS256",
    key: Any = None,
    header: dict[str, Any] | None = None,
    **claims: Any,
) -> bytes:
    """An Authorization value with a token of CLAIMS and these, signed with the algorithm's key."""
    if algorithm != "HS256":
        header = {"kid": algorithm, **(header or {})}
    content = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ...}
    made = jwt.encode(content, key or KEYS.get(algorithm, SECRET), algorithm, headers=header)
    return b"Bearer " + made.encode()


def raw(header: dict[str, Any], **claims: Any) -> bytes:
    """An Authorization value with a token whose header PyJWT would not write, signed well."""
    return b"Bearer " + compact(json.dumps(header).encode(), json.dumps(CLAIMS | claims).encode())


def verifier(**settings: Any) -> Verifier:
    """One that takes the secret and the keys of JWKS."""
    made = Verifier(TokenCheck(secret_env="SECRET", jwks=JWKS_URL, **settings), SECRET)
    made.set_keys(JWKS)
    return made


def by_secret(**settings: Any) -> Verifier:
    """One that takes the secret alone."""
    return Verifier(TokenCheck(secret_env="SECRET", **settings), SECRET)


def by_keys(**settings: Any) -> Verifier:
    """One that takes the keys of JWKS alone."""
    made = Verifier(TokenCheck(jwks=JWKS_URL, **settings), None)
    made.set_keys(JWKS)
    return made


def refusal(verdict: object) -> str:
    """Why a token was called invalid."""
    assert isinstance(verdict, Rejected), verdict
    assert verdict.error == "invalid_token"
    return verdict.description
