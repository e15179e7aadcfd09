"""strangler.yaml as frozen values: read once, every problem told, edited with comments kept."""

from strangler_proxy.config.edit import edit_serve
from strangler_proxy.config.load import load, parse
from strangler_proxy.config.model import (
    Compare,
    Config,
    Limits,
    Route,
    Serve,
    Timeouts,
    Upstream,
)
from strangler_proxy.config.problems import ConfigError, Problem

__all__ = [
    "Compare",
    "Config",
    "ConfigError",
    "Limits",
    "Problem",
    "Route",
    "Serve",
    "Timeouts",
    "Upstream",
    "edit_serve",
    "load",
    "parse",
]
