"""Envoy with the same duties, as near as its own filters come to them."""

import json
from dataclasses import replace

from scripts.benchmarks.gateway import proofs, tokens
from scripts.benchmarks.peers.envoy import ENVOY
from scripts.benchmarks.peers.peer import IDLE_S, Launch, Site
from scripts.benchmarks.upstream import CONDITIONED

_TYPES = "type.googleapis.com/envoy.extensions.filters"
_LIMIT_FILTER = "envoy.filters.http.local_ratelimit"
_HOUR_S = 3600


def _routes() -> list[dict[str, object]]:
    routes: list[dict[str, object]] = [
        {"match": {"prefix": "/upload"}, "route": _to("sink")},
        {"match": {"prefix": "/canary"}, "route": _canary()},
        {"match": {"prefix": "/limited"}, "route": _to("pages"), **_limited(999_999_999)},
        {"match": {"prefix": "/tight"}, "route": _to("pages"), **_limited(proofs.TIGHT_LIMIT)},
    ]
    plain = ("/posts", "/images", *(f"/{name}" for name in CONDITIONED))
    return routes + [{"match": {"prefix": one}, "route": _to("pages")} for one in plain]


def _to(name: str) -> dict[str, object]:
    # Not the default: a route's answer must come within 15 s, which a long upload may not allow.
    return {"cluster": name, "timeout": "0s"}


def _canary() -> dict[str, object]:
    share = proofs.CANARY_PERCENT
    return {
        "timeout": "0s",
        "hash_policy": [{"header": {"header_name": "x-user"}}],
        "weighted_clusters": {
            "use_hash_policy": True,
            "clusters": [
                {"name": "pages", "weight": 100 - share},
                {"name": "candidate", "weight": share},
            ],
        },
    }


def _limited(an_hour: int) -> dict[str, object]:
    """A bucket for each client's address, as strangler has a count for each."""
    bucket = {
        "max_tokens": an_hour,
        "tokens_per_fill": an_hour,
        "fill_interval": f"{_HOUR_S}s",
    }
    everybody = {"max_tokens": 2**32 - 1, "fill_interval": f"{_HOUR_S}s"}
    return {
        "typed_per_filter_config": {
            _LIMIT_FILTER: {
                "@type": f"{_TYPES}.http.local_ratelimit.v3.LocalRateLimit",
                "stat_prefix": "limited",
                "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
                "filter_enabled": {"default_value": {"numerator": 100}},
                "filter_enforced": {"default_value": {"numerator": 100}},
                "token_bucket": everybody,
                "rate_limits": [{"actions": [{"remote_address": {}}]}],
                "descriptors": [{"entries": [{"key": "remote_address"}], "token_bucket": bucket}],
            }
        }
    }


def _filters() -> list[dict[str, object]]:
    return [
        _filter("jwt_authn", "jwt_authn.v3.JwtAuthentication", **_authentication()),
        _filter("local_ratelimit", "local_ratelimit.v3.LocalRateLimit", stat_prefix="none"),
        _filter("router", "router.v3.Router"),
    ]


def _filter(name: str, kind: str, **settings: object) -> dict[str, object]:
    config = {"@type": f"{_TYPES}.http.{kind}", **settings}
    return {"name": f"envoy.filters.http.{name}", "typed_config": config}


def _authentication() -> dict[str, object]:
    return {
        "providers": {
            "shared": _provider(tokens.shared_jwks()),
            "issuer": _provider(tokens.issuer_jwks()),
        },
        "rules": [
            {"match": {"prefix": "/signed"}, "requires": {"provider_name": "shared"}},
            {"match": {"prefix": "/issued"}, "requires": {"provider_name": "issuer"}},
        ],
    }


def _provider(jwks: str) -> dict[str, object]:
    return {
        "local_jwks": {"inline_string": jwks},
        "forward": True,  # strangler passes the token on as well
        "claim_to_headers": [{"header_name": "x-verified-subject", "claim_name": "sub"}],
        # Not the default, which is to verify each token anew: strangler remembers those verified.
        "jwt_cache_config": {"jwt_cache_size": 1000},
    }


def _cluster(name: str, port: int) -> dict[str, object]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


def _launch(executable: str, site: Site) -> Launch:
    manager = {
        "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "blog",
        "codec_type": "HTTP1",
        "use_remote_address": True,
        "generate_request_id": True,
        "common_http_protocol_options": {"idle_timeout": f"{IDLE_S}s"},
        "route_config": {
            "name": "blog",
            "virtual_hosts": [{"name": "blog", "domains": ["*"], "routes": _routes()}],
        },
        "http_filters": _filters(),
    }
    connections = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": site.listen}}
    listener = {"name": "blog", "address": address, "filter_chains": [{"filters": [connections]}]}
    ports = (("pages", site.pages), ("candidate", site.candidate), ("sink", site.sink))
    clusters = [_cluster(name, port) for name, port in ports]
    config = site.folder / "envoy.json"
    content = {"static_resources": {"listeners": [listener], "clusters": clusters}}
    config.write_text(json.dumps(content, indent=1))
    argv = [executable, "-c", str(config), "--concurrency", "1", "--disable-hot-restart"]
    return Launch([*argv, "--log-level", "error"])


ENVOY_GATEWAY = replace(ENVOY, launch=_launch)
