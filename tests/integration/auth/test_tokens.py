"""Tokens of the running service: signed by a key pair, checked by what it publishes, rotated."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from extracted.auth.keyfolder import KeyFolderError, make
from extracted.chassis.clock import utc_now
from extracted.chassis.keys import JwksKeys, usable
from extracted.chassis.tokens import TokenVerifier
from tests.blog import bearer, served, token
from tests.integration.auth.conftest import Serve, Service, someone
from tests.issuer import Signer

ANN = someone()


class Clock:
    """The time, and a lead over it."""

    lead = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.lead


def kids(service: Service) -> list[str]:
    keys: list[dict[str, Any]] = service.client.get("/.well-known/jwks.json").json["keys"]
    return [key["kid"] for key in keys]


def kid(text: str) -> str:
    name: str = jwt.get_unverified_header(text)["kid"]
    return name


def verified(service: Service, text: str) -> int:
    return service.client.post("/verify", json={"token": text}).status_code


def test_a_token_has_the_claims_of_the_monoliths_and_is_signed_by_a_published_key(
    serve: Serve,
) -> None:
    service = serve()
    text = service.log_in(ANN)
    published = service.client.get("/.well-known/jwks.json")
    claims = jwt.decode(text, usable(published.json)[kid(text)], algorithms=["EdDSA"])
    assert list(claims) == ["sub", "email", "name", "iat", "exp"]
    assert (claims["sub"], claims["email"], claims["name"]) == ("1", ANN["email"], "Ann")
    assert claims["exp"] - claims["iat"] == 86400
    assert verified(service, text) == 200


def test_what_is_published_may_be_kept_for_a_minute_and_has_no_private_part(serve: Serve) -> None:
    answer = serve().client.get("/.well-known/jwks.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    assert [set(key) for key in answer.json["keys"]] == [{"kty", "crv", "x", "kid", "use", "alg"}]


def test_tokens_of_the_monolith_are_accepted_while_its_secret_is_set(serve: Serve) -> None:
    service = serve()
    service.log_in(ANN)
    change = {"json": {"name": "Anna"}, "headers": bearer(1)}
    assert service.client.patch("/users/1", **change).json["name"] == "Anna"
    assert verified(service, token(1, lives_s=-1)) == 401
    assert verified(serve(jwt_secret=None), token(1)) == 401


def test_a_rotation_passes_without_a_restart_and_without_a_token_refused(serve: Serve) -> None:
    clock = Clock()
    service = serve(clock)
    tokens = [service.log_in(ANN)]
    (old,) = kids(service)

    new = make(service.settings.signing_keys, clock()).kid
    assert kids(service) == [old, new]
    tokens.append(service.log_in(ANN))
    assert kid(tokens[-1]) == old

    clock.lead += timedelta(seconds=service.settings.signing_delay_s)
    tokens.append(service.log_in(ANN))
    assert kid(tokens[-1]) == new
    assert [verified(service, each) for each in tokens] == [200, 200, 200]

    clock.lead += timedelta(seconds=service.settings.token_ttl_s + 61)
    assert kids(service) == [new]
    assert verified(service, tokens[0]) == 401


def test_another_service_follows_a_rotation_by_the_published_keys_alone(
    serve: Serve, tmp_path: Path
) -> None:
    clock = Clock()
    service = serve(clock)
    cache = tmp_path / "cache.json"
    with ExitStack() as stack:
        url = stack.enter_context(served(service.app)) + "/.well-known/jwks.json"
        lead = Clock()
        verifier = TokenVerifier(None, JwksKeys(url, cache, clock=lambda: lead().timestamp()))
        assert verifier.caller(service.log_in(ANN)).name == "Ann"
        make(service.settings.signing_keys, clock())
        clock.lead += timedelta(seconds=service.settings.signing_delay_s)
        lead.lead += timedelta(seconds=5)
        text = service.log_in(ANN)
        assert verifier.caller(text).user_id == 1
    assert TokenVerifier(None, JwksKeys(url, cache)).caller(text).user_id == 1
    assert kid(text) in [key["kid"] for key in json.loads(cache.read_text())["keys"]]


def test_what_was_not_signed_here_is_refused(serve: Serve) -> None:
    service = serve()
    (ours,) = kids(service)
    service.log_in(ANN)
    public = service.client.get("/.well-known/jwks.json").json["keys"][0]
    told = {"sub": "1", "exp": 9999999999}
    forged = [
        Signer(ours).token(1),
        Signer("another").token(1),
        jwt.encode(told, public["x"], "HS256", headers={"kid": ours}),
        jwt.encode(told, None, "none", headers={"kid": ours}),
    ]
    assert [verified(service, text) for text in forged] == [401] * 4


def test_without_a_key_the_service_does_not_start(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(KeyFolderError, match=r"extracted\.auth\.keys new"):
        serve(signing_keys=tmp_path / "none")
