"""Routes and breakers as rows of plain values, for the admin interface and the command. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from strangler_proxy.admin.changes import serve_in_words
from strangler_proxy.config import Config, Route


def route_row(config: Config, route: Route) -> dict[str, Any]:
    """One route: `percent` and `sticky` are those in force, be they the route's or its canary's."""
    serve = config.serve_of(route)
    row: dict[str, Any] = {
        "name": route.name,
        "match": route.match,
        "control": route.control,
        "candidate": route.candidate,
        "serve": serve_in_words(route.serve),
        "percent": serve.candidate_percent,
        "sticky": serve.sticky,
        "when_open": route.when_open,
        "timeout_s": route.timeout_s,
        "token": route.token.check if route.token else None,
        "rate_limits": [f"{limit.limit} by {limit.by}" for limit in route.rate_limit],
        "retries": route.retry.most if route.retry else 0,
    }
    if route.compose is not None:
        row["parts"] = {name: part.get for name, part in route.compose.parts.items()}
    return row


def breaker_rows(upstreams: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The upstreams that have a breaker, with what is known of it."""
    return [
        {
            "upstream": row["name"],
            "state": row["breaker"],
            "forced": row.get("forced"),
            "opened": row.get("opened"),
        }
        for row in upstreams
        if row.get("breaker") is not None
    ]
