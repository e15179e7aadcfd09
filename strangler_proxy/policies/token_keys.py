"""The keys that tokens are verified with: which of them are fit, and for which algorithm. Pure.

Each key serves one algorithm and no other, whatever a token says. PyJWT does the cryptography.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

SECRET_BYTES = 32
"""As long as HS256's hash, which RFC 7518 §3.2 asks for."""

_HS256 = jwt.get_algorithm_by_name("HS256")
_PUBLIC = {name: jwt.get_algorithm_by_name(name) for name in ("RS256", "ES256", "EdDSA")}
PUBLIC_ALGORITHMS = frozenset(_PUBLIC)
# By kty and crv: the algorithm a key is for, and its public members.
_KINDS: dict[tuple[str, str | None], tuple[str, tuple[str, ...]]] = {
    ("RSA", None): ("RS256", ("kty", "n", "e")),
    ("EC", "P-256"): ("ES256", ("kty", "crv", "x", "y")),
    ("OKP", "Ed25519"): ("EdDSA", ("kty", "crv", "x")),
}
_RSA_BITS = range(2048, 8193)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key of an issuer, for one algorithm only."""

    kid: str | None
    algorithm: str
    key: Any
    jwk: dict[str, str]
    """As it was published, without what it does not need."""

    def signed(self, content: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's."""
        return _PUBLIC[self.algorithm].verify(content, self.key, signature)


def signed_with_secret(secret: bytes, content: bytes, signature: bytes) -> bool:
    """Whether the signature is HS256's with this secret; takes as long whatever is wrong."""
    return _HS256.verify(content, secret, signature)


def secret_problem(secret: str) -> str | None:
    """Say what makes a text unfit as the secret of HS256; None when nothing does."""
    try:
        length = len(secret.encode())
    except UnicodeEncodeError:
        return "it is not UTF-8"
    if length < SECRET_BYTES:
        return (
            f"it has {length} bytes, but HS256 needs {SECRET_BYTES} at least: "
            "make one with openssl rand -base64 48"
        )
    try:
        _HS256.prepare_key(secret)
    except jwt.InvalidKeyError:
        return "it is a key of a key pair or a certificate: use text that nobody else knows"
    return None


def public_keys(jwks: Mapping[str, Any]) -> list[PublicKey]:
    """The keys of a JWK set (RFC 7517) that tokens may be signed with; all others are left out.

    Never a secret (`oct`), nor a key whose private part is published, nor a weak one, nor one
    that is for encryption or for another algorithm.
    """
    members = jwks.get("keys")
    found = (_public_key(jwk) for jwk in members) if isinstance(members, list) else ()
    return [key for key in found if key is not None]


def _public_key(jwk: object) -> PublicKey | None:
    if not isinstance(jwk, dict) or "d" in jwk or "k" in jwk:
        return None
    kty, crv, kid = jwk.get("kty"), jwk.get("crv"), jwk.get("kid")
    if not isinstance(kty, str) or not isinstance(crv, str | None):
        return None
    algorithm, members = _KINDS.get((kty, crv), (None, ()))
    operations = jwk.get("key_ops", ["verify"])
    if (
        algorithm is None
        or not isinstance(kid, str | None)
        or jwk.get("alg", algorithm) != algorithm
        or jwk.get("use", "sig") != "sig"
        or not isinstance(operations, list)
        or "verify" not in operations
        or not all(isinstance(jwk.get(member), str) for member in members)
    ):
        return None
    public = {member: jwk[member] for member in members}
    try:
        key = _PUBLIC[algorithm].from_jwk(public)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
        return None
    if algorithm == "RS256" and key.key_size not in _RSA_BITS:
        return None
    return PublicKey(kid, algorithm, key, public if kid is None else {"kid": kid, **public})
