"""Whether a JWT is believed, and whom it speaks for (RFC 7519, RFC 8725). Reads no clock.

The algorithm alone decides which keys are looked at: HS256 the secret and nothing else, the others
the issuer's public keys of just their kind. A token cannot bring or point to a key of its own.
The claims are judged here and not by PyJWT, which reads the clock for that.
"""

import binascii
import json
import re
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, NoReturn

from strangler_proxy.config.tokens import SUBJECT_HEADER, TokenCheck
from strangler_proxy.policies.token_keys import (
    PUBLIC_ALGORITHMS,
    PublicKey,
    public_keys,
    secret_problem,
    signed_with_secret,
)

TOKEN_BYTES = 8192
"""A longer token is refused unread."""
CACHED_TOKENS = 4096
_FORGED = "The token's signature is wrong"
_REALM = b'Bearer realm="strangler_proxy"'
# A token without kid, or whose kid the issuer gave to several keys, is tried with this many.
_KEYS_TRIED = 8
_COMPACT = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_TYPES = frozenset({"jwt", "application/jwt", "at+jwt", "application/at+jwt"})
_LATEST_TIME = 2**53  # beyond it JSON's numbers are no longer exact (RFC 8259 §6)
# At most 1 KiB that every reader of a header understands as the same: spaces at the edges are lost
# on the way, and an identity in other letters than ASCII is read by some as Latin-1, by some as
# UTF-8. OpenID Connect Core §2 keeps `sub` to ASCII, too.
_SUBJECT = re.compile(r"[!-~](?:[ -~]{0,1022}[!-~])?")
_VALUE = re.compile(r"[!-~\xa1-\xff](?:[ -~\xa0-\xff]{0,1022}[!-~\xa1-\xff])?")


@dataclass(frozen=True, slots=True)
class Verified:
    """A token that is believed; `headers` are whole lines for the upstream, each with its end."""

    subject: str
    headers: bytes


@dataclass(frozen=True, slots=True)
class Rejected:
    """A request that is answered with 401; the description says nothing of the token's content."""

    error: Literal["missing", "invalid_request", "invalid_token"]
    description: str

    @property
    def challenge(self) -> bytes:
        """The value of WWW-Authenticate; without an error when no token came (RFC 6750 §3.1)."""
        if self.error == "missing":
            return _REALM
        return b'%b, error="%b", error_description="%b"' % (
            _REALM,
            self.error.encode(),
            self.description.encode(),
        )


@dataclass(frozen=True, slots=True)
class UnknownKey:
    """No key at hand fits: fetch the issuer's keys again and ask once more, then reject it."""

    kid: str | None

    @property
    def rejected(self) -> Rejected:
        """What the client is told when fresh keys do not fit either."""
        return Rejected("invalid_token", "The token is signed with a key that is not known")


NO_TOKEN = Rejected("missing", "This needs a token: send Authorization: Bearer <token>")
MALFORMED = Rejected("invalid_request", "Authorization must be Bearer and one token")


class _Invalid(Exception):
    """Why the token is not believed, in words for the client."""


class Verifier:
    """Believes tokens as one check of the file says; its answers are kept until they expire."""

    def __init__(self, settings: TokenCheck, secret: str | None) -> None:
        """Take the secret of HS256, if there is one; ValueError when it is unfit."""
        if secret is not None and (problem := secret_problem(secret)):
            raise ValueError(f"the secret in {settings.secret_env} is unfit: {problem}")
        self.settings = settings
        self._secret = secret.encode() if secret is not None else None
        self._jwks: Mapping[str, Any] | None = None
        self._keys: dict[str, list[PublicKey]] = {}
        self._kids: frozenset[str | None] = frozenset()
        self._cache: OrderedDict[bytes, tuple[Verified, float, float]] = OrderedDict()
        # Nothing but the subject itself may stand in the subject's header.
        self._claims = [
            (claim, header.encode())
            for claim, header in settings.claims.items()
            if header.lower() != SUBJECT_HEADER.lower()
        ]

    @property
    def ready(self) -> bool:
        """Whether the issuer's keys have come; until then nobody can say whether a token is bad."""
        return self.settings.jwks is None or self._jwks is not None

    def set_keys(self, jwks: Mapping[str, Any] | None) -> None:
        """Believe this JWK set, and no key of the former one, from now on."""
        if jwks == self._jwks:
            return
        self._jwks = jwks
        self._cache.clear()
        keys = public_keys(jwks or {})
        self._kids = frozenset(key.kid for key in keys)
        self._keys = {
            name: [key for key in keys if key.algorithm == name] for name in PUBLIC_ALGORITHMS
        }

    def verify(self, authorization: bytes | None, now: float) -> Verified | Rejected | UnknownKey:
        """Judge the value of the one Authorization field at `now`, seconds of wall-clock time.

        A request that has the field twice must be refused before: an upstream might believe the
        other one. Credentials of other schemes are no token. Never raises.
        """
        if authorization is None:
            return NO_TOKEN
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            # A tab after Bearer, say: some upstream might still find a token there.
            first = authorization.split(None, 1)[:1]
            return MALFORMED if first and first[0].lower() == b"bearer" else NO_TOKEN
        token = token.strip(b" ")
        held = self._cache.get(token)
        if held is not None and held[1] <= now < held[2]:
            self._cache.move_to_end(token)
            return held[0]
        if not token or b" " in token:
            return MALFORMED
        try:
            return self._read(token, now)
        except _Invalid as fault:
            return Rejected("invalid_token", str(fault))

    def _read(self, token: bytes, now: float) -> Verified | UnknownKey:
        if len(token) > TOKEN_BYTES:
            raise _Invalid("The token is too long")
        parts = _COMPACT.fullmatch(token)
        if parts is None:
            raise _Invalid("The token is not a signed JWT")
        header = _json_object(_decoded(parts[1]))
        unknown = self._check_signature(header, token[: parts.end(2)], _decoded(parts[3]))
        if unknown is not None:
            return unknown
        claims = _json_object(_decoded(parts[2]))
        begins, ends = _lifetime(claims, self.settings.leeway_s)
        if now >= ends:
            raise _Invalid("The token has expired")
        if now < begins:
            raise _Invalid("The token is not valid yet")
        _check_parties(claims, self.settings)
        verified = self._verified(claims)
        self._cache[token] = (verified, begins, ends)
        if len(self._cache) > CACHED_TOKENS:
            self._cache.popitem(last=False)
        return verified

    def _check_signature(
        self, header: dict[str, Any], signed: bytes, signature: bytes
    ) -> UnknownKey | None:
        _check_header(header)
        algorithm, kid = header["alg"], header.get("kid")
        if algorithm == "HS256" and self._secret is not None:
            if signed_with_secret(self._secret, signed, signature):
                return None
            raise _Invalid(_FORGED)
        if self.settings.jwks is None or algorithm not in PUBLIC_ALGORITHMS:
            raise _Invalid("The token's algorithm is not accepted here")
        if kid is not None and kid not in self._kids:
            return UnknownKey(kid)
        fitting = (key for key in self._keys.get(algorithm, ()) if kid in (None, key.kid))
        if any(key.signed(signed, signature) for key in islice(fitting, _KEYS_TRIED)):
            return None
        if kid is None:  # the issuer may have signed with a key that has come since
            return UnknownKey(None)
        raise _Invalid(_FORGED)

    def _verified(self, claims: dict[str, Any]) -> Verified:
        subject = claims.get("sub")
        if not isinstance(subject, str) or _SUBJECT.fullmatch(subject) is None:
            raise _Invalid("The token's sub is not 1 to 1024 printable ASCII characters")
        lines = [b"%b: %b\r\n" % (SUBJECT_HEADER.encode(), subject.encode())]
        for claim, header in self._claims:
            if value := _header_value(claims.get(claim)):
                lines.append(b"%b: %b\r\n" % (header, value))
        return Verified(subject, b"".join(lines))


def _check_header(header: dict[str, Any]) -> None:
    """Refuse what is not a plain JWT; jku, jwk, x5u, x5c are not even read (RFC 8725 §3.10)."""
    if "crit" in header or "b64" in header:  # RFC 7515 §4.1.11: no extension is understood
        raise _Invalid("The token demands extensions that are not understood")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        # RFC 8725 §3.11: what the same issuer signed for another purpose is no access token.
        raise _Invalid("The token's typ is neither JWT nor at+jwt")
    if not isinstance(header.get("alg"), str) or not isinstance(header.get("kid"), str | None):
        raise _Invalid("The token's header is malformed")


def _check_parties(claims: dict[str, Any], settings: TokenCheck) -> None:
    """Compare iss and aud with what the file asks for; what it does not ask for may be anything."""
    if settings.issuer is not None and claims.get("iss") != settings.issuer:
        raise _Invalid("The token is from another issuer")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if settings.audience is not None and settings.audience not in audiences:
        raise _Invalid("The token is for another audience")


def _lifetime(claims: dict[str, Any], leeway_s: float) -> tuple[float, float]:
    """From when and until when the token is valid, in seconds; it must say when it ends."""
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    for value in times.values():
        # Not NaN and not infinite either; true and false are integers in Python.
        if type(value) not in (int, float) or not 0 <= value <= _LATEST_TIME:
            raise _Invalid("The token's exp, nbf or iat is not a time")
    if "exp" not in times:
        raise _Invalid("The token does not say when it expires")
    begins = max(times.get("nbf", 0), times.get("iat", 0))
    return begins - leeway_s, times["exp"] + leeway_s


def _header_value(claim: object) -> bytes | None:
    """A claim as it stands in a header; None when it is not there or cannot stand in one.

    A list whose items hold commas or spaces at their ends would be read as other items.
    """
    if isinstance(claim, bool):
        return b"true" if claim else b"false"
    if isinstance(claim, int):
        claim = str(claim)
    if isinstance(claim, list):
        if not all(isinstance(item, str) and _VALUE.fullmatch(item) for item in claim):
            return None
        if any("," in item for item in claim):
            return None
        claim = ",".join(claim)
    if not isinstance(claim, str) or _VALUE.fullmatch(claim) is None:
        return None
    return claim.encode("latin-1")


def _decoded(text: bytes) -> bytes:
    """Base64url as RFC 7515 §2 has it: one way only to write the same bytes, without padding."""
    padded = text.translate(_TO_BASE64) + b"=" * (-len(text) % 4)
    try:
        content = binascii.a2b_base64(padded)
    except binascii.Error:
        raise _Invalid("The token is not base64url") from None
    if urlsafe_b64encode(content).rstrip(b"=") != text:
        raise _Invalid("The token is not base64url")
    return content


_TO_BASE64 = bytes.maketrans(b"-_", b"+/")


def _json_object(text: bytes) -> dict[str, Any]:
    """A JSON object in UTF-8; names that come twice are refused (RFC 7515 §4, RFC 7519 §4)."""
    try:
        content = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise _Invalid("The token is not made of JSON") from None
    if not isinstance(content, dict):
        raise _Invalid("The token is not made of JSON objects")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError
    return content


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)
