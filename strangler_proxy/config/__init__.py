"""strangler.yaml as frozen values: read once, every problem told, edited with comments kept."""

from strangler_proxy.config.compose import Compose, Part
from strangler_proxy.config.edit import (
    PreparedEdit,
    edit_canary,
    edit_default,
    edit_serve,
    prepare_serve,
)
from strangler_proxy.config.load import load, parse
from strangler_proxy.config.model import Config
from strangler_proxy.config.problems import ConfigError, Problem
from strangler_proxy.config.route import COMPOSED, Compare, RateLimit, Retry, Route, Serve
from strangler_proxy.config.server import (
    AccessLog,
    Consul,
    Force,
    Limits,
    LimitStore,
    Timeouts,
    Tracing,
)
from strangler_proxy.config.tokens import SUBJECT_HEADER, TokenCheck
from strangler_proxy.config.upstream import (
    Breaker,
    Canary,
    Ejection,
    HealthCheck,
    Upstream,
)

__all__ = [
    "COMPOSED",
    "SUBJECT_HEADER",
    "AccessLog",
    "Breaker",
    "Canary",
    "Compare",
    "Compose",
    "Config",
    "ConfigError",
    "Consul",
    "Ejection",
    "Force",
    "HealthCheck",
    "LimitStore",
    "Limits",
    "Part",
    "PreparedEdit",
    "Problem",
    "RateLimit",
    "Retry",
    "Route",
    "Serve",
    "Timeouts",
    "TokenCheck",
    "Tracing",
    "Upstream",
    "edit_canary",
    "edit_default",
    "edit_serve",
    "load",
    "parse",
    "prepare_serve",
]
