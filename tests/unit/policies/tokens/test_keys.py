"""Keys of an issuer: which are not known, which change, and which are never trusted."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from strangler_proxy.config import TokenCheck
from strangler_proxy.policies.token_keys import public_keys
from strangler_proxy.policies.tokens import (
    UnknownKey,
    Verified,
    Verifier,
)
from tests.unit.policies.tokens.signed import (
    CLAIMS,
    JWKS,
    JWKS_URL,
    KEYS,
    NOW,
    SECRET,
    b64,
    bearer,
    by_keys,
    by_secret,
    jwk,
    refusal,
    verifier,
)


def test_an_unknown_kid_asks_for_fresh_keys() -> None:
    verdict = by_keys().verify(bearer("RS256", header={"kid": "next"}), NOW)
    assert verdict == UnknownKey("next")
    assert "not known" in refusal(verdict.rejected)


def test_hs256_never_asks_for_fresh_keys() -> None:
    for make in (verifier, by_keys, by_secret):
        for key in (SECRET, "another secret of thirty-two bytes at least"):
            verdict = make().verify(bearer(key=key, header={"kid": "next"}), NOW)
            assert not isinstance(verdict, UnknownKey)


def test_without_keys_from_the_issuer_nothing_is_said_of_a_token() -> None:
    check = Verifier(TokenCheck(jwks=JWKS_URL), None)
    assert not check.ready
    assert check.verify(bearer("RS256"), NOW) == UnknownKey("RS256")
    check.set_keys(JWKS)
    assert check.ready
    assert isinstance(check.verify(bearer("RS256"), NOW), Verified)
    assert by_secret().ready


def test_a_token_without_kid_is_tried_with_every_key_of_its_algorithm() -> None:
    old, new = (ed25519.Ed25519PrivateKey.generate() for _ in range(2))
    nameless = [jwk("EdDSA", key) for key in (old, new)]
    for key in nameless:
        del key["kid"]
    check = by_keys()
    check.set_keys({"keys": nameless})

    def token(key: Any) -> bytes:
        return b"Bearer " + jwt.encode(CLAIMS, key, "EdDSA").encode()

    assert isinstance(check.verify(token(old), NOW), Verified)
    assert isinstance(check.verify(token(new), NOW), Verified)
    assert check.verify(token(KEYS["EdDSA"]), NOW) == UnknownKey(None)


def test_a_key_that_is_gone_is_believed_no_more_even_for_tokens_seen_before() -> None:
    check = verifier()
    assert isinstance(check.verify(bearer("RS256"), NOW), Verified)
    check.set_keys({"keys": [jwk("EdDSA")]})
    assert check.verify(bearer("RS256"), NOW) == UnknownKey("RS256")
    assert isinstance(check.verify(bearer("EdDSA"), NOW), Verified)
    check.set_keys(None)
    assert check.verify(bearer("EdDSA"), NOW) == UnknownKey("EdDSA")


def test_another_key_under_the_same_name_takes_its_place() -> None:
    check = by_keys()
    check.verify(bearer("EdDSA"), NOW)
    check.set_keys({"keys": [jwk("EdDSA", ed25519.Ed25519PrivateKey.generate())]})
    assert "signature" in refusal(check.verify(bearer("EdDSA"), NOW))


SHORT = rsa.generate_private_key(65537, 1024)
PRIVATE = jwt.get_algorithm_by_name("EdDSA").to_jwk(KEYS["EdDSA"], as_dict=True)


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": b64(SECRET.encode()).decode(), "alg": "HS256", "kid": "RS256"},
        {"kty": "oct", "k": b64(SECRET.encode()).decode(), "alg": "RS256", "kid": "RS256"},
        jwk("RS256", use="enc"),
        jwk("RS256", use=["sig"]),
        jwk("RS256", alg="RS512"),
        jwk("RS256", alg="HS256"),
        jwk("RS256", alg="EdDSA"),
        jwk("RS256", key_ops=["encrypt"]),
        jwk("RS256", key_ops="verify"),
        jwk("RS256", SHORT),
        jwk("RS256", e="AQ"),
        jwk("RS256", n=""),
        jwk("RS256", n=7),
        jwk("RS256", kid=7),
        jwk("RS256", kty=["RSA"]),
        {"kty": "RSA", "kid": "RS256"},
        jwk("ES256", crv="P-384"),
        jwk("ES256", crv={}),
        jwk("ES256", x=jwk("ES256")["y"]),
        jwk("EdDSA", crv="Ed448"),
        jwk("EdDSA", crv="X25519"),
        jwk("EdDSA", x="é"),
        {**PRIVATE, "kid": "EdDSA"},
        None,
        "key",
        [],
    ],
    ids=str,
)
def test_keys_that_cannot_be_trusted_to_verify_are_left_out(key: Any) -> None:
    good = jwk("EdDSA", kid="good")
    assert [found.kid for found in public_keys({"keys": [key, good]})] == ["good"]


@pytest.mark.parametrize("jwks", [{}, {"keys": None}, {"keys": {}}, {"keys": "RSA"}, {"keys": []}])
def test_what_is_no_set_of_keys_has_none(jwks: dict[str, Any]) -> None:
    assert public_keys(jwks) == []


def test_a_jwks_secret_never_verifies_hs256() -> None:
    stolen = {"kty": "oct", "k": b64(SECRET.encode()).decode(), "alg": "HS256", "kid": "s"}
    check = Verifier(TokenCheck(jwks=JWKS_URL), None)
    check.set_keys({"keys": [stolen]})
    refusal(check.verify(bearer("HS256", header={"kid": "s"}), NOW))
