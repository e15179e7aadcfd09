"""The running proxy as the steps see it: its counts, and its table, which a flip changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from strangler_proxy.config import ConfigError, load
from strangler_proxy.running import ProxyUnreachable, RunningProxy, flip, lead_default
from strangler_proxy.steps.gates.traffic import Counts, Unobservable
from strangler_proxy.steps.parts.flip import FlipFailed, Percents


@dataclass(frozen=True)
class Proxy:
    """The proxy that serves one configuration file; satisfies Switchboard."""

    config_path: Path

    def counts(self) -> Counts:
        """What every worker has counted since it started. Raises Unobservable."""
        try:
            return RunningProxy(self.config_path).counts()
        except ProxyUnreachable as fault:
            raise Unobservable(str(fault)) from fault

    def percents(self, routes: Sequence[str]) -> Percents:
        """What the candidate serves of each route, by the file. Raises FlipFailed."""
        try:
            config = load(self.config_path)
        except ConfigError as fault:
            raise FlipFailed(str(fault)) from fault
        known = {route.name: route.serve.candidate_percent for route in config.routes}
        missing = [route for route in routes if route not in known]
        if missing:
            raise FlipFailed(f"{self.config_path} has no route {', '.join(missing)}")
        return {route: known[route] for route in routes}

    def flip(self, routes: Sequence[str], percent: int) -> None:
        """Edit the file, and return when every worker serves it. Raises FlipFailed."""
        try:
            flip(self.config_path, routes, percent)
        except (ProxyUnreachable, ConfigError) as fault:
            raise FlipFailed(str(fault)) from fault

    def default(self) -> str:
        """Who answers what no route names, by the file. Raises FlipFailed."""
        try:
            return load(self.config_path).default
        except ConfigError as fault:
            raise FlipFailed(str(fault)) from fault

    def lead_default(self, upstream: str) -> None:
        """Edit the file, and return when every worker serves it. Raises FlipFailed."""
        try:
            lead_default(self.config_path, upstream)
        except (ProxyUnreachable, ConfigError) as fault:
            raise FlipFailed(str(fault)) from fault
