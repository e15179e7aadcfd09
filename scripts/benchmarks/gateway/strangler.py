"""The product twice: with routes alone, and with the duties of a gateway on further routes."""

from dataclasses import replace
from typing import Any

from scripts.benchmarks.gateway import proofs, tokens
from scripts.benchmarks.peers.peer import Launch, Site
from scripts.benchmarks.peers.strangler import STRANGLER, configuration, launch_with

# Without fallbacks: what a part that failed would cost less must show as an error.
_PARTS = {
    "post": {"get": "/posts/{post_id}"},
    "author": {"get": "/users/{post.author.id}"},
    "comments": {"get": "/comments?post={post_id}", "pick": "comments"},
}
_ANY_NUMBER = "999999999/hour"


def _gateway(site: Site) -> dict[str, Any]:
    """The configuration of `bench proxy`, and beside its twelve routes those with conditions."""
    content = configuration(site)
    content["upstreams"]["candidate"] = {"url": f"http://127.0.0.1:{site.candidate}"}
    content["tokens"] = {
        "shared": {"secret_env": tokens.SECRET_VARIABLE},
        "issuer": {"jwks": f"http://127.0.0.1:{site.pages}/files/{tokens.JWKS_FILE}"},
    }
    content["routes"] += [
        _route("canary", {"candidate": "candidate", "serve": _canary()}),
        _route("signed", {"token": "shared"}),
        _route("issued", {"token": "issuer"}),
        _route("limited", {"rate_limit": _ANY_NUMBER}),
        _route("tight", {"rate_limit": f"{proofs.TIGHT_LIMIT}/hour"}),
        {
            "name": "composed",
            "match": "GET /api/posts/<int:post_id>",
            "compose": {"parts": _PARTS},
        },
    ]
    return content


def _canary() -> dict[str, object]:
    return {"candidate_percent": proofs.CANARY_PERCENT, "sticky": "header:x-user"}


def _route(name: str, conditions: dict[str, object]) -> dict[str, object]:
    return {"name": name, "match": f"GET /{name}/<int:post_id>", "control": "pages", **conditions}


def _launch(executable: str, site: Site) -> Launch:
    environment = {tokens.SECRET_VARIABLE: tokens.secret()}
    return launch_with(_gateway(site), executable, site, environment)


ALONE = replace(STRANGLER, name="strangler-alone", title="strangler alone")
GATEWAY = replace(STRANGLER, launch=_launch)
