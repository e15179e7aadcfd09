"""Who signed a token, and with what: each key serves its own algorithm only."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from strangler_proxy.config import TokenCheck
from strangler_proxy.policies.token_keys import secret_problem
from strangler_proxy.policies.tokens import (
    Verified,
    Verifier,
)
from tests.unit.policies.tokens.signed import (
    CLAIMS,
    JWKS,
    KEYS,
    NOW,
    bearer,
    by_keys,
    by_secret,
    compact,
    jwk,
    raw,
    refusal,
    verifier,
)


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", "hs256", "HS512", "HS256 ", "RS256 "])
@pytest.mark.parametrize("signature", ["good", "none"])
def test_only_the_exact_names_of_known_algorithms_count(alg: str, signature: str) -> None:
    credentials = raw({"alg": alg})
    if signature == "none":
        credentials = credentials[: credentials.rindex(b".") + 1]
    refusal(verifier().verify(credentials, NOW))


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "ES384", "ES512", "ES256K"])
def test_algorithms_that_were_not_asked_for_are_refused(algorithm: str) -> None:
    assert "algorithm" in refusal(verifier().verify(raw({"alg": algorithm}), NOW))


def public_texts(algorithm: str) -> list[bytes]:
    """What an attacker may take for the secret: all that is known of a public key."""
    public = KEYS[algorithm].public_key()
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    own = json.dumps(jwk(algorithm)).encode()
    return [pem, pem.strip(), der, own, json.dumps(JWKS).encode(), b"", *jwk_values(algorithm)]


def jwk_values(algorithm: str) -> list[bytes]:
    """The members of the published key, as text and decoded."""
    values = [jwk(algorithm)[name] for name in ("n", "x", "y") if name in jwk(algorithm)]
    return [v.encode() for v in values] + [base64.urlsafe_b64decode(v + "==") for v in values]


@pytest.mark.parametrize("algorithm", list(KEYS))
@pytest.mark.parametrize("make", [verifier, by_keys])
def test_a_public_key_is_no_secret_of_hs256(algorithm: str, make: Any) -> None:
    claims = json.dumps(CLAIMS).encode()
    for secret in public_texts(algorithm):
        header = json.dumps({"alg": "HS256", "kid": algorithm}).encode()
        refusal(make().verify(b"Bearer " + compact(header, claims, secret), NOW))


@pytest.mark.parametrize("claimed", list(KEYS))
@pytest.mark.parametrize("signed", list(KEYS))
def test_a_key_serves_its_own_algorithm_only(claimed: str, signed: str) -> None:
    credentials = bearer(signed, header={"kid": claimed})
    verdict = by_keys().verify(credentials, NOW)
    assert isinstance(verdict, Verified) if claimed == signed else refusal(verdict)


def test_a_token_cannot_bring_or_point_to_its_own_key() -> None:
    mine = ec.generate_private_key(ec.SECP256R1())
    header = {
        "jwk": jwk("ES256", mine),
        "jku": "http://attacker.test/keys",
        "x5u": "http://attacker.test/certificate",
        "x5c": ["MIIB"],
    }
    assert "signature" in refusal(by_keys().verify(bearer("ES256", mine, header), NOW))
    assert isinstance(by_keys().verify(bearer("ES256", header=header), NOW), Verified)


def test_each_check_takes_only_what_it_was_given() -> None:
    assert "algorithm" in refusal(by_keys().verify(bearer("HS256"), NOW))
    assert "algorithm" in refusal(by_secret().verify(bearer("RS256"), NOW))
    lost = Verifier(TokenCheck(secret_env="SECRET"), None)
    assert "algorithm" in refusal(lost.verify(bearer("HS256"), NOW))


def test_keys_are_not_taken_by_a_check_that_names_no_issuer() -> None:
    check = by_secret()
    check.set_keys(JWKS)
    refusal(check.verify(bearer("RS256"), NOW))


@pytest.mark.parametrize(
    ("secret", "word"),
    [
        ("", "0 bytes"),
        ("s" * 31, "31 bytes"),
        ("é" * 15, "30 bytes"),
        ("\udcff" * 32, "UTF-8"),
        (public_texts("RS256")[0].decode(), "key pair"),
        (json.dumps(jwk("EdDSA")), "key pair"),
        ("s" * 32, None),
        ("é" * 16, None),
    ],
)
def test_a_weak_secret_is_told_and_never_used(secret: str, word: str | None) -> None:
    problem = secret_problem(secret)
    if word is None:
        assert problem is None
        return
    assert problem is not None
    assert word in problem
    with pytest.raises(ValueError, match="JWT_SECRET"):
        Verifier(TokenCheck(secret_env="JWT_SECRET"), secret)
