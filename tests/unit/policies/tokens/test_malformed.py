"""What is no plain JWT is not read, however well it is signed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from strangler_proxy.policies.tokens import (
    Verified,
)
from tests.unit.policies.tokens.signed import (
    CLAIMS,
    NOW,
    bearer,
    by_secret,
    compact,
    raw,
    refusal,
    verifier,
)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "HS256", "crit": ["b64"], "b64": False},
        {"alg": "HS256", "crit": ["exp"], "exp": 1},
        {"alg": "HS256", "crit": []},
        {"alg": "HS256", "b64": False},
        {"alg": "HS256", "typ": "logout+jwt"},
        {"alg": "HS256", "typ": "dpop+jwt"},
        {"alg": "HS256", "typ": None},
        {"alg": "HS256", "kid": 7},
        {"alg": ["HS256"]},
        {"alg": {"HS256": 1}},
        {"alg": None},
        {},
    ],
    ids=str,
)
def test_headers_that_say_more_than_is_understood_are_refused(header: dict[str, Any]) -> None:
    refusal(verifier().verify(raw(header), NOW))


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+jwt"])
def test_the_types_of_access_tokens_are_taken(typ: str) -> None:
    assert isinstance(by_secret().verify(raw({"alg": "HS256", "typ": typ}), NOW), Verified)


CLAIMS_TEXT = json.dumps(CLAIMS).encode()


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        (b'{"alg":"HS256","alg":"HS256"}', CLAIMS_TEXT),
        (b'{"alg":"none","alg":"HS256"}', CLAIMS_TEXT),
        (b'{"alg":"HS256"}', b'{"sub":"1","sub":"42","exp":9999999999}'),
        (b'{"alg":"HS256"}', b'{"sub":"42","exp":9999999999,"a":{"b":1,"b":2}}'),
        (b'{"alg":"HS256"}', b'{"sub":"42","exp":9999999999,"a":NaN}'),
        (b'\xef\xbb\xbf{"alg":"HS256"}', CLAIMS_TEXT),
        ('{"alg":"HS256"}'.encode("utf-16"), CLAIMS_TEXT),
        (b'{"alg":"HS256"}', json.dumps(CLAIMS).encode("utf-32")),
        (b'{"alg":"HS256"}', b'{"sub":"\xff","exp":9999999999}'),
        (b'{"alg":"HS256"}', b"[]"),
        (b'["alg","HS256"]', CLAIMS_TEXT),
        (b'"HS256"', CLAIMS_TEXT),
        (b'{"alg":"HS256"}', b"42"),
        (b'{"alg":"HS256"}', CLAIMS_TEXT + b"x"),
        (b"[" * 3000, b"{}"),
        (b'{"alg":"HS256"}', b'{"a":' * 900 + b"1" + b"}" * 900),
    ],
)
def test_json_that_two_readers_could_understand_differently_is_refused(
    header: bytes, claims: bytes
) -> None:
    refusal(by_secret().verify(b"Bearer " + compact(header, claims), NOW))


GOOD = compact(b'{"alg":"HS256"}', CLAIMS_TEXT)


@pytest.mark.parametrize(
    "token",
    [
        b"x",
        b"..",
        b"a.b",
        b"a.b.c",
        b"a.b.c.d.e",
        GOOD + b"=",
        GOOD + b".",
        b"." + GOOD,
        GOOD.replace(b".", b"..", 1),
        GOOD[: GOOD.rindex(b".") + 1],
        GOOD + b"AAAA",
        GOOD + b"\n",
        GOOD.replace(b".", b"=.", 1),
        GOOD.replace(b".", b"+.", 1),
        GOOD.replace(b".", b"\xff.", 1),
        b"\x00" * 40,
    ],
)
def test_junk_is_refused(token: bytes) -> None:
    refusal(by_secret().verify(b"Bearer " + token, NOW))


def test_a_signature_has_one_spelling_only() -> None:
    check = by_secret()
    assert isinstance(check.verify(b"Bearer " + GOOD, NOW), Verified)
    # 32 bytes in 43 characters leave two bits over, which a lenient reader ignores.
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(GOOD[-1:])
    for bits in range(1, 4):
        other = GOOD[:-1] + alphabet[last ^ bits : (last ^ bits) + 1]
        assert "base64url" in refusal(check.verify(b"Bearer " + other, NOW))


def test_a_token_of_more_than_8_kib_is_not_read() -> None:
    fitting, long = (bearer(pad="p" * length) for length in (5900, 6300))
    assert len(fitting) < 8192 + 7 < len(long)
    assert isinstance(by_secret().verify(fitting, NOW), Verified)
    assert "too long" in refusal(by_secret().verify(long, NOW))
