"""Which tokens are believed, what is told of them, and that nothing else ever is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy.config import TokenCheck
from strangler_proxy.policies.token_keys import public_keys, secret_problem
from strangler_proxy.policies.tokens import (
    CACHED_TOKENS,
    Rejected,
    UnknownKey,
    Verified,
    Verifier,
)

NOW = 1_700_000_000.0
SECRET = "a secret of more than thirty-two bytes"
JWKS_URL = "http://issuer.test/keys"
KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
CLAIMS = {"sub": "42", "exp": NOW + 60}


def jwk(algorithm: str, key: Any = None, **members: Any) -> dict[str, Any]:
    """The public half of a key as an issuer publishes it, named after its algorithm."""
    public = (key or KEYS[algorithm]).public_key()
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(public, as_dict=True)
    return {**made, "kid": algorithm, "use": "sig", "alg": algorithm, **members}


JWKS = {"keys": [jwk(algorithm) for algorithm in KEYS]}


def b64(content: bytes) -> bytes:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def compact(header: bytes, claims: bytes, secret: bytes = SECRET.encode()) -> bytes:
    """A token of just these bytes, with a good HS256 signature."""
    signed = b64(header) + b"." + b64(claims)
    return signed + b"." + b64(hmac.digest(secret, signed, hashlib.sha256))


def bearer(
    algorithm: str = "HS256",
    key: Any = None,
    header: dict[str, Any] | None = None,
    **claims: Any,
) -> bytes:
    """An Authorization value with a token of CLAIMS and these, signed with the algorithm's key."""
    if algorithm != "HS256":
        header = {"kid": algorithm, **(header or {})}
    content = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ...}
    made = jwt.encode(content, key or KEYS.get(algorithm, SECRET), algorithm, headers=header)
    return b"Bearer " + made.encode()


def raw(header: dict[str, Any], **claims: Any) -> bytes:
    """An Authorization value with a token whose header PyJWT would not write, signed well."""
    return b"Bearer " + compact(json.dumps(header).encode(), json.dumps(CLAIMS | claims).encode())


def verifier(**settings: Any) -> Verifier:
    """One that takes the secret and the keys of JWKS."""
    made = Verifier(TokenCheck(secret_env="SECRET", jwks=JWKS_URL, **settings), SECRET)
    made.set_keys(JWKS)
    return made


def by_secret(**settings: Any) -> Verifier:
    """One that takes the secret alone."""
    return Verifier(TokenCheck(secret_env="SECRET", **settings), SECRET)


def by_keys(**settings: Any) -> Verifier:
    """One that takes the keys of JWKS alone."""
    made = Verifier(TokenCheck(jwks=JWKS_URL, **settings), None)
    made.set_keys(JWKS)
    return made


def refusal(verdict: object) -> str:
    """Why a token was called invalid."""
    assert isinstance(verdict, Rejected), verdict
    assert verdict.error == "invalid_token"
    return verdict.description


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


# Who signed, and with what.


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


# Keys that are not known, and keys that change.


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


# Times.


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


# Who the token is from, for, and about.


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


# What is no plain JWT.


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


# The secret.


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


# Whatever comes.

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
