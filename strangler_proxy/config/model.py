"""A whole strangler.yaml as frozen values, with the defaults that every part relies on.

Opens nothing and checks each value by itself; what the values mean together is checked in load.py.
"""

from pydantic import Field

from strangler_proxy.config.address import Address, parse_address
from strangler_proxy.config.fields import AddressText, Frozen, Name, NetworkText, Seconds
from strangler_proxy.config.route import Route, Serve
from strangler_proxy.config.server import (
    AccessLog,
    Consul,
    Force,
    Limits,
    LimitStore,
    ServerTls,
    Timeouts,
    Tracing,
)
from strangler_proxy.config.tokens import TokenCheck
from strangler_proxy.config.upstream import Upstream


class Config(Frozen):
    """A whole strangler.yaml."""

    listen: AddressText = "127.0.0.1:8000"
    admin: AddressText | None = Field(
        None, description="inspection and flips over HTTP; its token: STRANGLER_ADMIN_TOKEN"
    )
    audit: str | None = Field(
        None, description="file of changes made; .strangler/audit.jsonl beside this one"
    )
    tls: ServerTls | None = None
    trusted_proxies: tuple[NetworkText, ...] = Field(
        (), description="addresses whose X-Forwarded-* and Forwarded headers are believed"
    )
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    force: Force | None = None
    access_log: AccessLog | None = None
    tracing: Tracing | None = None
    consul: Consul = Consul()
    limit_store: LimitStore = LimitStore()
    tokens: dict[Name, TokenCheck] = Field({}, description="which tokens are believed")
    upstreams: dict[Name, Upstream] = Field(min_length=1, max_length=1000)
    default: str = Field(description="the upstream for whatever no route names")
    default_timeout_s: Seconds = 60
    routes: tuple[Route, ...] = ()

    @property
    def address(self) -> Address:
        """Where the proxy listens."""
        return parse_address(self.listen)

    def route(self, name: str) -> Route | None:
        """The route of that name, if there is one."""
        return next((route for route in self.routes if route.name == name), None)

    def serve_of(self, route: Route) -> Serve:
        """Who answers a route, looked up at its candidate where the route says so."""
        if not route.serve.by_upstream or route.candidate is None:
            return route.serve
        canary = self.upstreams[route.candidate].canary
        return Serve(candidate_percent=canary.percent, sticky=canary.sticky)
