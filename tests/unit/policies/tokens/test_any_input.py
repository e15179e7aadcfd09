"""Whatever comes gets a verdict, and nothing that was touched is believed."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy.policies.tokens import (
    Rejected,
    Verified,
)
from tests.unit.policies.tokens.signed import (
    KEYS,
    NOW,
    b64,
    bearer,
    by_keys,
    by_secret,
    raw,
    verifier,
)

SIGNED = {algorithm: bearer(algorithm, name="Ada") for algorithm in ("HS256", *KEYS)}


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A good token with some of its bytes changed, put in, or taken away."""
    good = draw(st.sampled_from(list(SIGNED.values())))
    text = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(7, len(text) - 1))
        kind = draw(st.sampled_from(["change", "insert", "cut", "end"]))
        byte = draw(
            st.sampled_from(b"ABCDEFghijklmnop0123456789-_.=+/ \x00\xff") | st.integers(0, 255)
        )
        if kind == "change":
            text[place] = byte
        elif kind == "insert":
            text.insert(place, byte)
        elif kind == "cut" and len(text) > 10:
            del text[place]
        else:
            text = text[: max(place, 9)]
    return bytes(text)


@given(mutations())
def test_a_token_that_was_touched_is_never_believed(credentials: bytes) -> None:
    if b"Bearer " + credentials[7:].strip(b" ") in SIGNED.values():
        return
    check = verifier(claims={"name": "X-Verified-Name"})
    assert not isinstance(check.verify(credentials, NOW), Verified)


@given(st.sampled_from(list(KEYS)), st.binary(max_size=300))
def test_no_signature_of_any_length_passes_for_a_keys(algorithm: str, signature: bytes) -> None:
    signed = SIGNED[algorithm].rpartition(b".")[0]
    verdict = by_keys().verify(signed + b"." + b64(signature), NOW)
    assert isinstance(verdict, Rejected)


@given(st.binary(max_size=200), st.sampled_from([b"", b"Bearer ", b"Bearer a.", b"Bearer e30."]))
def test_any_bytes_get_a_verdict(junk: bytes, before: bytes) -> None:
    assert isinstance(verifier().verify(before + junk, NOW), Rejected)


TEXT = st.text(st.sampled_from("aZ7é,;: \t\r\n\x00\x7f\x85\xa0世\ud800"), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


@given(TEXT | JSON, TEXT | st.lists(TEXT) | JSON)
def test_what_is_told_of_any_signed_claims_is_whole_header_lines(subject: Any, role: Any) -> None:
    check = by_secret(claims={"role": "X-Verified-Role"})
    verdict = check.verify(raw({"alg": "HS256"}, sub=subject, role=role), NOW)
    if isinstance(verdict, Verified):
        assert verdict.subject == subject
        lines = verdict.headers.split(b"\r\n")
        assert [line.partition(b": ")[0] for line in lines] in (
            [b"X-Verified-Subject", b""],
            [b"X-Verified-Subject", b"X-Verified-Role", b""],
        )
        assert not any(byte < 32 or 127 <= byte < 160 for line in lines for byte in line)


@given(st.sampled_from(["exp", "nbf", "iat", "iss", "aud"]), JSON)
def test_any_claim_of_any_kind_gets_a_verdict(name: str, value: Any) -> None:
    check = by_secret(issuer="i", audience="a")
    verdict = check.verify(raw({"alg": "HS256"}, **{"iss": "i", "aud": "a", name: value}), NOW)
    assert isinstance(verdict, Verified | Rejected)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["kty", "crv", "n", "e", "x", "y", "kid", "alg", "use", "key_ops"]),
            st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "sig", "verify", "AQAB"])
            | JSON,
        )
        | JSON,
        max_size=4,
    )
)
def test_any_set_of_keys_can_be_read(keys: list[Any]) -> None:
    check = by_keys()
    check.set_keys({"keys": keys})
    assert not isinstance(check.verify(SIGNED["RS256"], NOW), Verified)
