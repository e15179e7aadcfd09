"""By what a token is checked: its own word decides, and no key serves for another."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path

import jwt
import pytest

from extracted.chassis.errors import Refusal
from extracted.chassis.keys import KeysUnavailableError, usable
from extracted.chassis.settings import Environment, SettingsError
from extracted.chassis.tokens import TokenSettings, TokenVerifier
from tests.blog import SECRET, token
from tests.issuer import Signer

SIGNER, RSA = Signer(), Signer("r1", "RS256")


class KnownKeys:
    """Knows the keys of these signers; `away`: nobody can be asked about any other."""

    def __init__(self, *signers: Signer, away: bool = False) -> None:
        self.away = away
        self._keys = usable({"keys": [signer.jwk() for signer in signers]})

    def find(self, kid: str) -> jwt.PyJWK | None:
        if kid not in self._keys and self.away:
            raise KeysUnavailableError
        return self._keys.get(kid)


BOTH = TokenVerifier(SECRET, KnownKeys(SIGNER, RSA))


def refused(verifier: TokenVerifier, text: str) -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        verifier.caller(text)
    return caught.value.status, str(caught.value)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def signed_with_public_key() -> str:
    """HS256 with the text of the public key as its secret: what a careless verifier accepts."""
    text = f"{part({'alg': 'HS256', 'kid': 'k1'})}.{part({'sub': '1', 'exp': 9999999999})}"
    mac = hmac.digest(SIGNER.pem().encode(), text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@pytest.mark.parametrize("text", [token(7), SIGNER.token(7), RSA.token(7)])
def test_secret_and_keys_are_accepted_side_by_side(text: str) -> None:
    assert BOTH.caller(text).user_id == 7
    assert BOTH.caller(text).token == text


def test_the_caller_has_the_name_and_address_of_the_token() -> None:
    caller = BOTH.caller(SIGNER.token())
    assert (caller.name, caller.email) == ("Ann", "a@b.c")
    assert (BOTH.caller(token()).name, BOTH.caller(token()).email) == ("", "")


BAD = {
    "another key of the same name": Signer("k1").token(),
    "a name that nobody has": SIGNER.token(kid="k2"),
    "no name": jwt.encode({"sub": "1", "exp": 9999999999}, SIGNER._private, "EdDSA"),
    "the name of a key for another algorithm": RSA.token(kid="k1"),
    "the public key as a secret": signed_with_public_key(),
    "no signature": f"{part({'alg': 'none'})}.{part({'sub': '1', 'exp': 9999999999})}.",
    "no signature, and a key's name": SIGNER.token().rpartition(".")[0] + ".",
    "an algorithm that is not used here": jwt.encode(
        {"sub": "1", "exp": 9999999999}, SECRET * 2, "HS512", headers={"kid": "k1"}
    ),
    "no token at all": "a.b.c",
    "a name that is no text": f"{part({'alg': 'EdDSA', 'kid': 1})}.{part({})}.AA",
    "an algorithm that is no text": f"{part({'alg': ['EdDSA'], 'kid': 'k1'})}.{part({})}.AA",
}


@pytest.mark.parametrize("kind", BAD)
def test_anything_else_is_not_valid(kind: str) -> None:
    assert refused(BOTH, BAD[kind]) == (401, "The token is not valid.")


@pytest.mark.parametrize("text", [token(lives_s=-1), SIGNER.token(lives_s=-1)])
def test_an_expired_token_is_told_so(text: str) -> None:
    assert refused(BOTH, text) == (401, "The token has expired; log in again.")


def test_a_token_of_a_signer_whose_clock_is_ahead_is_accepted() -> None:
    assert BOTH.caller(token(7, iat=9999999999)).user_id == 7


def test_without_a_secret_or_without_keys_such_tokens_are_not_valid() -> None:
    assert refused(TokenVerifier(None, KnownKeys(SIGNER)), token())[0] == 401
    assert refused(TokenVerifier(SECRET), SIGNER.token())[0] == 401


def test_a_key_that_cannot_be_looked_up_says_nothing_against_the_token() -> None:
    verifier = TokenVerifier(SECRET, KnownKeys(SIGNER, away=True))
    assert verifier.caller(SIGNER.token(3)).user_id == 3
    with pytest.raises(Refusal) as caught:
        verifier.caller(Signer("new").token())
    assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "2"})
    assert caught.value.error["code"] == "keys_unavailable"


@pytest.mark.parametrize(
    "change",
    [
        {"kid": None},
        {"kid": 1},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": []},
        {"crv": "X25519"},
        {"x": "AA"},
        {"x": None},
        {"use": "enc"},
        {"alg": "HS256"},
        json.loads(jwt.get_algorithm_by_name("EdDSA").to_jwk(SIGNER._private)),  # the private part
    ],
)
def test_a_key_that_is_not_for_tokens_is_left_out(change: dict[str, object]) -> None:
    good = Signer("good")
    keys = usable({"keys": [{**SIGNER.jwk(), **change}, good.jwk(), "nonsense"]})
    assert keys.keys() == {"good"}


@pytest.mark.parametrize("jwks", [{}, {"keys": []}, {"keys": {}}, {"keys": [{"kty": "oct"}]}])
def test_a_set_without_a_key_is_none(jwks: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no public key"):
        usable(jwks)


def read(**variables: str) -> TokenSettings:
    environment = Environment("sample", variables)
    settings = TokenSettings.read(environment)
    environment.check()
    return settings


def test_a_service_needs_the_secret_unless_it_knows_where_the_keys_are() -> None:
    url = "http://127.0.0.1:3001/.well-known/jwks.json"
    with pytest.raises(SettingsError, match="JWT_SECRET is not set"):
        read()
    assert read(JWT_SECRET=SECRET) == TokenSettings(SECRET)
    assert read(JWKS_URL=url, JWKS_CACHE="/var/keys.json") == TokenSettings(
        None, url, Path("/var/keys.json")
    )
    with pytest.raises(SettingsError, match="shorter than 32 bytes"):
        read(JWKS_URL=url, JWT_SECRET="short")
