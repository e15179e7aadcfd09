"""Somebody who signs tokens with a key pair, as the auth service does."""

from __future__ import annotations

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from monolith.clock import utc_now
from tests.blog import DAY_S


class Signer:
    """One key pair and its name."""

    def __init__(self, kid: str = "k1", algorithm: str = "EdDSA") -> None:
        self.kid = kid
        self.algorithm = algorithm
        self._private: Any = (
            Ed25519PrivateKey.generate()
            if algorithm == "EdDSA"
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )

    def jwk(self) -> dict[str, Any]:
        """The public key as it is published."""
        written = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self._private.public_key())
        return {**json.loads(written), "kid": self.kid, "use": "sig", "alg": self.algorithm}

    def pem(self) -> str:
        """The public key as text."""
        form = PublicFormat.SubjectPublicKeyInfo
        return self._private.public_key().public_bytes(Encoding.PEM, form).decode()

    def token(self, user_id: int = 1, *, lives_s: int = DAY_S, **header: Any) -> str:
        """A token for the user; `header` replaces what it says of its key."""
        now = int(utc_now().timestamp())
        claims = {"sub": str(user_id), "name": "Ann", "email": "a@b.c", "iat": now}
        told = {"kid": self.kid, **header}
        return jwt.encode(
            {**claims, "exp": now + lives_s}, self._private, self.algorithm, headers=told
        )


def jwks(*signers: Signer) -> bytes:
    """What is published of them, as an answer's body."""
    return json.dumps({"keys": [signer.jwk() for signer in signers]}).encode()
