"""What an Authorization field may say, and how a refusal is told."""

from __future__ import annotations

import pytest

from strangler_proxy.policies.tokens import (
    Rejected,
    Verified,
)
from tests.unit.policies.tokens.signed import KEYS, NOW, bearer, by_secret, verifier


@pytest.mark.parametrize("algorithm", ["HS256", *KEYS])
def test_a_good_token_speaks_for_its_subject_again_and_again(algorithm: str) -> None:
    check = verifier()
    expected = Verified("42", b"X-Verified-Subject: 42\r\n")
    assert check.verify(bearer(algorithm), NOW) == expected
    assert check.verify(bearer(algorithm), NOW) == expected


@pytest.mark.parametrize("scheme", [b"bearer", b"BEARER", b"Bearer  "])
def test_the_scheme_may_be_written_as_http_allows(scheme: bytes) -> None:
    credentials = bearer().replace(b"Bearer", scheme, 1)
    assert isinstance(by_secret().verify(credentials, NOW), Verified)


@pytest.mark.parametrize("value", [None, b"", b"Basic dTpw", b"Digest x", b"Bearerx y"])
def test_without_a_token_the_challenge_names_no_error(value: bytes | None) -> None:
    verdict = by_secret().verify(value, NOW)
    assert isinstance(verdict, Rejected)
    assert verdict.error == "missing"
    assert verdict.challenge == b'Bearer realm="strangler_proxy"'


@pytest.mark.parametrize(
    "value", [b"Bearer", b"Bearer ", b"bearer a b", b"Bearer a, Bearer b", b"Bearer\ta.b.c"]
)
def test_bearer_with_anything_but_one_token_is_an_invalid_request(value: bytes) -> None:
    verdict = by_secret().verify(value, NOW)
    assert isinstance(verdict, Rejected)
    assert verdict.error == "invalid_request"
    assert verdict.challenge == (
        b'Bearer realm="strangler_proxy", error="invalid_request", '
        b'error_description="Authorization must be Bearer and one token"'
    )


def test_the_challenge_of_a_bad_token_says_what_is_wrong_in_quotable_words() -> None:
    verdict = by_secret().verify(bearer(exp=NOW - 1), NOW)
    assert isinstance(verdict, Rejected)
    assert verdict.challenge == (
        b'Bearer realm="strangler_proxy", error="invalid_token", '
        b'error_description="The token has expired"'
    )
