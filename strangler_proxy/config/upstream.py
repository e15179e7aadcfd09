"""Who can answer: where its servers are, and how they are treated. Frozen values."""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, model_validator

from strangler_proxy.config.address import Origin, parse_origin
from strangler_proxy.config.fields import (
    Count,
    Frozen,
    OriginUrl,
    Percent,
    Seconds,
    Status,
    Sticky,
)

Ratio = Annotated[float, Field(gt=0, le=1)]
FAILURES = (500, 502, 503, 504)


class UpstreamTls(Frozen):
    """TLS towards one upstream; used when its URL says https."""

    ca: str | None = Field(None, description="PEM file of authorities; the system's when left out")
    verify: bool = True
    server_name: str | None = Field(None, description="name to ask for and check; the URL's host")


class ConsulService(Frozen):
    """A service whose healthy instances Consul knows."""

    service: str = Field(min_length=1)
    tag: str | None = None
    scheme: Literal["http", "https"] = "http"


class DnsName(Frozen):
    """A name whose every address is a server; asked again every so often."""

    url: OriginUrl
    every_s: Seconds = 5


class HealthCheck(Frozen):
    """Ask every address for the upstream's `health` path, and leave out those that are not well."""

    every_s: Seconds = 2
    timeout_s: Seconds = 1
    fall: Count = Field(2, description="failed checks in a row that make an address unwell")
    rise: Count = Field(2, description="good checks in a row that make it well again")


class Ejection(Frozen):
    """Leave an address out for a while after failures in a row; each time for longer."""

    failures: Count = 5
    for_s: Seconds = Field(10, description="the first time; doubled each time after that")
    longest_s: Seconds = 300


class Breaker(Frozen):
    """Stop asking an upstream that fails: by failures in a row, or by their ratio in a window."""

    failures: Count = Field(5, description="failures in a row that open it")
    ratio: Ratio | None = Field(None, description="open by this ratio of failures instead")
    least_requests: Count = Field(
        20, description="a ratio of fewer requests than this says nothing"
    )
    window_s: Seconds = Field(10, description="the time that a ratio looks back")
    open_s: Seconds = Field(60, description="how long it stays open before one request may probe")
    statuses: tuple[Status, ...] = Field(FAILURES, description="answers that count as failures")


class Canary(Frozen):
    """The percent of callers that this upstream serves on all routes that say `serve: canary`."""

    percent: Percent = 0
    sticky: Sticky = "client"


class Upstream(Frozen):
    """One server, or several alike, that can answer: the monolith or an extracted service.

    Found by exactly one of `url`, `urls`, `consul` and `dns`.
    """

    url: OriginUrl | None = None
    urls: tuple[OriginUrl, ...] = Field((), description="several addresses of the same upstream")
    consul: ConsulService | None = None
    dns: DnsName | None = None
    health: str | None = Field(None, pattern=r"^/", description="path that answers 200 when well")
    health_check: HealthCheck | None = None
    eject: Ejection = Field(Ejection(), description="applies where there are several addresses")
    breaker: Breaker | None = None
    canary: Canary = Canary()
    connect_timeout_s: Seconds = 2
    idle_s: Seconds = Field(
        1, description="a kept connection is reused within this time; below the server's own limit"
    )
    reuse: Literal["safe", "always", "never"] = Field(
        "safe", description="safe: requests that must not be repeated open a new connection"
    )
    max_connections: Count = Field(
        256, description="requests in flight at the same time, per worker; more wait"
    )
    queue: Annotated[int, Field(ge=0)] = Field(
        1024, description="most requests waiting for a connection, per worker (503 beyond)"
    )
    queue_timeout_s: Seconds = 5
    retry_percent: Percent = Field(
        20, description="of the requests in flight so many may be retries; three always may"
    )
    tls: UpstreamTls = UpstreamTls()

    @model_validator(mode="after")
    def _is_found_in_one_way(self) -> "Upstream":
        given = [
            key for key in ("url", "urls", "consul", "dns") if getattr(self, key) not in (None, ())
        ]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"write one of url, urls, consul and dns; it has {found}")
        if self.health_check is not None and self.health is None:
            raise ValueError("health_check asks for the path that health names: add health")
        return self

    @model_validator(mode="after")
    def _addresses_are_alike(self) -> "Upstream":
        if len(set(self.origins)) < len(self.origins):
            raise ValueError("an address stands in urls twice")
        if len({origin.tls for origin in self.origins}) > 1:
            raise ValueError("urls are http or https, all of them: they are one upstream")
        return self

    @cached_property
    def origins(self) -> tuple[Origin, ...]:
        """Its addresses as the file names them: none where a registry or DNS is asked."""
        urls = self.urls if self.url is None else (self.url,)
        return tuple(parse_origin(url) for url in urls)

    @cached_property
    def tls_on(self) -> bool:
        """Whether TLS is spoken to it."""
        if self.consul is not None:
            return self.consul.scheme == "https"
        if self.dns is not None:
            return parse_origin(self.dns.url).tls
        return self.origins[0].tls

    @property
    def tls_name(self) -> str | None:
        """The name to check certificates against; None: that of the address."""
        if self.tls.server_name is None and self.dns is not None:
            return parse_origin(self.dns.url).address.host
        return self.tls.server_name

    @property
    def direct_url(self) -> str:
        """The address to ask without the proxy; ValueError when only a registry knows it."""
        url = self.url or next(iter(self.urls), None) or (self.dns.url if self.dns else None)
        if url is None:
            raise ValueError("its addresses stand in a registry: write its url to ask it directly")
        return url
