"""Which tokens are believed. Frozen values; the secrets themselves stand in the environment."""

import re
from typing import Annotated

from pydantic import Field, model_validator

from strangler_proxy.config.fields import Frozen, HttpUrl, Seconds, Variable, checked

SUBJECT_HEADER = "X-Verified-Subject"
VerifiedHeader = Annotated[
    str,
    checked(
        re.compile(r"X-Verified-[A-Za-z0-9-]+"),
        "is not a header for verified claims: it must begin with X-Verified-, "
        "which no client can send",
    ),
]


class TokenCheck(Frozen):
    """JWTs that are believed: by a shared secret (HS256), by an issuer's published keys, or both.

    The subject goes upstream as X-Verified-Subject. Whatever a client sends in fields that begin
    with X-Verified- is dropped, on every route.
    """

    secret_env: Variable | None = Field(
        None, description="variable that holds the secret of HS256, 32 bytes at least"
    )
    jwks: HttpUrl | None = Field(
        None, description="URL of the issuer's public keys (EdDSA, ES256, RS256)"
    )
    refresh_s: Seconds = Field(300, description="the keys are fetched again after this time")
    issuer: str | None = Field(None, description="`iss` must be this")
    audience: str | None = Field(None, description="`aud` must be or hold this")
    leeway_s: Annotated[float, Field(ge=0, le=300)] = Field(
        0, description="clocks may differ by this much when exp, nbf and iat are judged"
    )
    claims: dict[str, VerifiedHeader] = Field(
        {}, description="further claims to pass on, by the header that carries each"
    )

    @model_validator(mode="after")
    def _has_a_key(self) -> "TokenCheck":
        if self.secret_env is None and self.jwks is None:
            raise ValueError("no token can be verified: add secret_env, jwks, or both")
        headers = [SUBJECT_HEADER, *self.claims.values()]
        for header in headers:
            if sum(other.lower() == header.lower() for other in headers) > 1:
                raise ValueError(f"{header} would be sent for more than one claim")
        return self


class RequiredToken(Frozen):
    """Which check a route's tokens must pass; a token that is there must be valid in any case."""

    check: str
    optional: bool = Field(False, description="requests without any token pass too, as nobody's")
