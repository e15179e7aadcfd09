"""Who a token is from, for and about, and what upstreams are told of its claims."""

from __future__ import annotations

from typing import Any

import pytest

from strangler_proxy.policies.tokens import (
    Verified,
)
from tests.unit.policies.tokens.signed import NOW, bearer, by_secret, raw, refusal


@pytest.mark.parametrize("iss", [..., None, "", "https://issuer.test/", ["https://issuer.test"]])
def test_the_issuer_must_be_exactly_the_one_asked_for(iss: Any) -> None:
    check = by_secret(issuer="https://issuer.test")
    assert isinstance(check.verify(bearer(iss="https://issuer.test"), NOW), Verified)
    refusal(check.verify(raw({"alg": "HS256"}, **({} if iss is ... else {"iss": iss})), NOW))


@pytest.mark.parametrize("aud", ["blog", ["shop", "blog"]])
def test_the_audience_may_be_one_of_several(aud: Any) -> None:
    assert isinstance(by_secret(audience="blog").verify(bearer(aud=aud), NOW), Verified)


@pytest.mark.parametrize("aud", [..., None, "", "blo", "blogs", [], ["b", "l"], [["blog"]], {}])
def test_a_token_for_others_is_refused(aud: Any) -> None:
    claims = {} if aud is ... else {"aud": aud}
    refusal(by_secret(audience="blog").verify(raw({"alg": "HS256"}, **claims), NOW))


@pytest.mark.parametrize("aud", ["blog", ["a", "b"], 7, None])
def test_an_audience_that_nobody_asks_for_does_not_matter(aud: Any) -> None:
    assert isinstance(by_secret().verify(raw({"alg": "HS256"}, aud=aud), NOW), Verified)


@pytest.mark.parametrize(
    "subject",
    [
        None,
        42,
        ["42"],
        True,
        "",
        " 42",
        "42 ",
        "42\r\nX-Verified-Role: admin",
        "42\n",
        "\x00",
        "4\t2",
        "4\x7f2",
        "josé",
        "\ud800",
        "世界",
        "s" * 1025,
    ],
)
def test_a_subject_that_headers_cannot_carry_unchanged_is_refused(subject: Any) -> None:
    assert "sub" in refusal(by_secret().verify(raw({"alg": "HS256"}, sub=subject), NOW))


def test_a_token_without_a_subject_is_refused() -> None:
    assert "sub" in refusal(by_secret().verify(bearer(sub=...), NOW))


@pytest.mark.parametrize("subject", ["7", "auth0|5f7c", "a b", "s" * 1024, "x@y.test", "~!"])
def test_printable_subjects_pass_as_they_are(subject: str) -> None:
    verdict = by_secret().verify(bearer(sub=subject), NOW)
    assert verdict == Verified(subject, b"X-Verified-Subject: %b\r\n" % subject.encode())


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("Ada Lovelace", b"Ada Lovelace"),
        ("José", b"Jos\xe9"),
        (7, b"7"),
        (-1, b"-1"),
        (0, b"0"),
        (True, b"true"),
        (False, b"false"),
        (["admin", "author"], b"admin,author"),
        (["admin"], b"admin"),
        (..., None),
        (None, None),
        ("", None),
        ([], None),
        (1.5, None),
        ({"a": 1}, None),
        ([1, 2], None),
        (["admin", 1], None),
        (["user,admin"], None),
        (["user", " admin"], None),
        (["user", ""], None),
        ("a\r\nX-Verified-Subject: 1", None),
        (["a", "b\r\nX: 1"], None),
        ("a\n", None),
        ("a\x85", None),
        ("a\xa0", None),
        (" a", None),
        ("世界", None),
        ("\ud800", None),
        ("a" * 1025, None),
        (["a" * 600, "b" * 600], None),
        (10**1500, None),
    ],
)
def test_claims_pass_in_their_headers_if_headers_can_carry_them(
    claim: Any, value: bytes | None
) -> None:
    check = by_secret(claims={"role": "X-Verified-Role"})
    claims = {} if claim is ... else {"role": claim}
    verdict = check.verify(raw({"alg": "HS256"}, **claims), NOW)
    line = b"" if value is None else b"X-Verified-Role: %b\r\n" % value
    assert verdict == Verified("42", b"X-Verified-Subject: 42\r\n" + line)


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "X-Verified-subject"},
        {"email": "X-Verified-Name", "name": "X-Verified-name"},
    ],
)
def test_no_claim_takes_the_place_of_the_subject_or_of_another(claims: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="more than one claim"):
        by_secret(claims=claims)
