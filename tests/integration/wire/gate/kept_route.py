"""A route that wants a token, tokens for it, and what its upstream gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ed25519

from strangler_proxy.wire.outside import Outside
from tests.integration.wire.conftest import Bench
from tests.wire_tools.client import Answer, Client
from tests.wire_tools.upstream import Peer, Upstream, echo

NOW = 1_700_000_000.0
SECRET = "a secret of more than thirty-two bytes"
JWKS_URL = "http://issuer.test/keys"
KEY = ed25519.Ed25519PrivateKey.generate()
JWKS = {
    "keys": [
        {
            **jwt.get_algorithm_by_name("EdDSA").to_jwk(KEY.public_key(), as_dict=True),
            "kid": "new", "use": "sig", "alg": "EdDSA",
        }
    ]
}  # fmt: skip


def token(subject: str = "ann", secret: Any = SECRET, algorithm: str = "HS256", **more: Any) -> str:
    claims = {"sub": subject, "exp": NOW + 60, "role": "editor", **more}
    headers = {"kid": "new"} if algorithm == "EdDSA" else None
    return jwt.encode(claims, secret, algorithm, headers=headers)


def bearer(*given: Any, **more: Any) -> str:
    return f"Authorization: Bearer {token(*given, **more)}"


def issued(subject: str = "ann") -> str:
    return bearer(subject, KEY, "EdDSA")


def before(
    bench: Bench,
    script: Callable[[Peer], None] = echo,
    outside: Outside | None = None,
    check: Any = None,
    more: Any = None,
    **route: Any,
) -> Upstream:
    upstream = bench.upstream(script)
    outside = outside or Outside()
    outside.environ, outside.wall = {"SECRET": SECRET}, lambda: NOW
    check = check or {"secret_env": "SECRET", "claims": {"role": "X-Verified-Role"}}
    bench.serve(
        outside,
        upstreams={"monolith": upstream.url},
        tokens={"users": check},
        routes=[
            {"name": "kept", "match": "/kept", "control": "monolith", "token": "users", **route},
            {"name": "open", "match": "/open", "control": "monolith"},
        ],
        **(more or {}),
    )
    return upstream


def got(answer: Answer, name: str) -> list[str]:
    """What the upstream got in fields of this name, as WSGI would see it."""
    assert answer.status == 200, answer.body
    wanted = name.lower().replace("_", "-")
    return [v for n, v in answer.json()["headers"] if n.lower().replace("_", "-") == wanted]


def send_quietly(client: Client, body: bytes) -> None:
    try:
        client.send(body)
    except OSError:
        return  # refused, and closed
