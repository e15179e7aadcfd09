"""From when until when a token counts, also one that was seen before."""

from __future__ import annotations

import json
from typing import Any

import pytest

from strangler_proxy.policies.tokens import (
    CACHED_TOKENS,
    Verified,
)
from tests.unit.policies.tokens.signed import CLAIMS, NOW, bearer, by_secret, compact, refusal


@pytest.mark.parametrize(
    ("claims", "leeway_s", "good"),
    [
        ({"exp": NOW + 0.5}, 0, True),
        ({"exp": NOW}, 0, False),
        ({"exp": NOW}, 5, True),
        ({"exp": NOW - 5}, 5, False),
        ({"nbf": NOW}, 0, True),
        ({"nbf": NOW + 1}, 0, False),
        ({"nbf": NOW + 5}, 5, True),
        ({"iat": NOW + 1}, 0, False),
        ({"iat": NOW + 5}, 5, True),
        ({"iat": NOW + 6}, 5, False),
        ({"iat": NOW - 1e6, "nbf": NOW + 1}, 0, False),
        ({"exp": ...}, 0, False),
        ({"exp": None}, 0, False),
        ({"exp": "9999999999"}, 0, False),
        ({"exp": True}, 300, False),
        ({"exp": [NOW + 60]}, 0, False),
        ({"exp": 10**400}, 0, False),
        ({"exp": -1}, 300, False),
        ({"nbf": "0"}, 0, False),
        ({"nbf": -1}, 0, False),
        ({"nbf": None}, 0, False),
        ({"iat": "yesterday"}, 0, False),
        ({"iat": False}, 0, False),
    ],
)
def test_a_token_counts_from_nbf_and_iat_until_exp(
    claims: dict[str, Any], leeway_s: float, good: bool
) -> None:
    content = {name: value for name, value in (CLAIMS | claims).items() if value is not ...}
    token = compact(b'{"alg":"HS256"}', json.dumps(content).encode())
    verdict = by_secret(leeway_s=leeway_s).verify(b"Bearer " + token, NOW)
    assert isinstance(verdict, Verified) if good else refusal(verdict)


@pytest.mark.parametrize("exp", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000])
def test_a_token_cannot_last_forever(exp: bytes) -> None:
    token = compact(b'{"alg":"HS256"}', b'{"sub":"42","exp":%b}' % exp)
    refusal(by_secret().verify(b"Bearer " + token, NOW))


def test_a_token_seen_before_still_expires_and_is_judged_by_the_time_given() -> None:
    check = by_secret()
    credentials = bearer(exp=NOW + 60, nbf=NOW)
    assert isinstance(check.verify(credentials, NOW + 59.9), Verified)
    assert "expired" in refusal(check.verify(credentials, NOW + 60))
    assert "not valid yet" in refusal(check.verify(credentials, NOW - 1))
    assert isinstance(check.verify(credentials, NOW), Verified)


def test_only_so_many_tokens_are_remembered_and_those_in_use_stay() -> None:
    check = by_secret()
    used, unused = bearer(jti="used"), bearer(jti="unused")
    kept, lost = check.verify(used, NOW), check.verify(unused, NOW)
    assert check.verify(unused, NOW) is lost
    for number in range(CACHED_TOKENS):
        check.verify(bearer(jti=str(number)), NOW)
        if number % 1000 == 0:
            check.verify(used, NOW)
    assert check.verify(used, NOW) is kept
    assert check.verify(unused, NOW) is not lost
