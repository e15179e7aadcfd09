"""The shape of strangler.yaml: frozen values with the defaults that every part relies on.

Opens nothing and checks each value by itself; what the values mean together is checked in load.py.
"""

import ipaddress
import re
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from strangler_proxy.config.address import Address, Origin, parse_address, parse_origin

_TOKEN = re.compile(r"[A-Za-z][A-Za-z-]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_RULE = re.compile(r"\$.*|header:\s*\S+\s*|body")
_STICKY = re.compile(r"client|(?:header|cookie):[A-Za-z0-9!#$%&'*+.^_`|~-]+")

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(gt=0)]
Percent = Annotated[int, Field(ge=0, le=100)]


def _checked(pattern: re.Pattern[str], expected: str) -> AfterValidator:
    def check(value: str) -> str:
        if pattern.fullmatch(value) is None:
            raise ValueError(f"'{value}' {expected}")
        return value

    return AfterValidator(check)


def _address(text: str) -> str:
    parse_address(text)
    return text


def _origin(url: str) -> str:
    parse_origin(url)
    return url


def _match(text: str) -> str:
    split_match(text)
    return text


def _network(text: str) -> str:
    ipaddress.ip_network(text)
    return text


def _no_shadow(percent: int) -> int:
    if percent:
        raise ValueError("shadow copies are not available in this version: write 0")
    return percent


Name = Annotated[
    str, _checked(_NAME, "is not a name: use letters, digits, '-', '_' and '.', no spaces")
]
AddressText = Annotated[str, AfterValidator(_address)]
Rule = Annotated[
    str,
    _checked(
        _RULE, "is not a compare rule: write a JSON path such as $.posts[*].id, header:etag or body"
    ),
]
Sticky = Annotated[
    str, _checked(_STICKY, "is not a key: write client, header:<name> or cookie:<name>")
]


class Frozen(BaseModel):
    """A value of the configuration: unknown keys are mistakes, nothing changes after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerTls(Frozen):
    """TLS towards clients: PEM files."""

    certificate: str
    key: str


class UpstreamTls(Frozen):
    """TLS towards one upstream; used when its URL says https."""

    ca: str | None = Field(None, description="PEM file of authorities; the system's when left out")
    verify: bool = True
    server_name: str | None = Field(None, description="name to ask for and check; the URL's host")


class Limits(Frozen):
    """What a client may send; beyond it the answer is 413, 414 or 431."""

    target_bytes: Count = Field(8_192, description="longest request target (414)")
    header_bytes: Count = Field(32_768, description="longest request head (431)")
    headers: Count = Field(100, description="most header lines in a request (431)")
    body_bytes: Count = Field(4 * 2**30, description="longest request body (413)")


class Timeouts(Frozen):
    """How long the proxy waits for a client, in seconds."""

    header_s: Seconds = Field(
        10, description="first byte of a request to the end of its head (408)"
    )
    body_idle_s: Seconds = Field(30, description="between two pieces of a body, either way")
    keepalive_s: Seconds = Field(75, description="an idle connection is kept")
    tunnel_idle_s: Seconds = Field(3600, description="an upgraded connection may be silent")
    drain_s: Seconds = Field(30, description="requests in flight may finish after SIGTERM")


class Upstream(Frozen):
    """One server that can answer: the monolith or an extracted service."""

    url: Annotated[str, AfterValidator(_origin)]
    health: str | None = Field(None, pattern=r"^/", description="path that answers 200 when well")
    connect_timeout_s: Seconds = 2
    idle_s: Seconds = Field(
        1, description="a kept connection is reused within this time; below the server's own limit"
    )
    reuse: Literal["safe", "always", "never"] = Field(
        "safe", description="safe: requests that must not be repeated open a new connection"
    )
    max_connections: Count = Field(256, description="per worker; more requests wait")
    queue: Annotated[int, Field(ge=0)] = Field(
        1024, description="most requests waiting for a connection, per worker (503 beyond)"
    )
    queue_timeout_s: Seconds = 5
    tls: UpstreamTls = UpstreamTls()

    @cached_property
    def origin(self) -> Origin:
        """Where the upstream listens."""
        return parse_origin(self.url)


class Serve(Frozen):
    """Who answers a route: the percent of callers that the candidate serves, chosen by `sticky`."""

    candidate_percent: Percent = 0
    sticky: Sticky = "client"


class Shadow(Frozen):
    """Copies of safe requests to the side that does not answer."""

    percent: Annotated[int, AfterValidator(_no_shadow)] = 0


class Compare(Frozen):
    """What may differ between two answers: JSON paths such as `$.posts[*].id`."""

    ignore: tuple[Rule, ...] = ()


def _serve(value: Any) -> Any:
    """Accept the two short forms, `control` and `candidate`."""
    if value == "control":
        return {"candidate_percent": 0}
    if value == "candidate":
        return {"candidate_percent": 100}
    if isinstance(value, str):
        raise ValueError(  # noqa: TRY004 - pydantic reports ValueErrors as problems
            f"'{value}' is unknown: write control, candidate, or "
            "{candidate_percent: 5, sticky: header:authorization}"
        )
    return value


class Route(Frozen):
    """A method set and a Werkzeug path rule, and who answers it."""

    name: Name
    match: Annotated[str, AfterValidator(_match)]
    control: str
    candidate: str | None = None
    serve: Annotated[
        Serve,
        BeforeValidator(_serve, json_schema_input_type=Literal["control", "candidate"] | Serve),
    ] = Serve()
    shadow: Shadow = Shadow()
    compare: Compare = Compare()
    timeout_s: Seconds = Field(
        60, description="wait for the answer's first byte, and between its pieces"
    )

    @model_validator(mode="after")
    def _candidate_is_there_when_served(self) -> "Route":
        if self.serve.candidate_percent and self.candidate is None:
            raise ValueError("serve names the candidate, but the route has none: add candidate")
        return self

    @property
    def methods(self) -> frozenset[str] | None:
        """Upper-case methods as written; None for every method."""
        return split_match(self.match)[0]

    @property
    def rule(self) -> str:
        """The path rule in Flask's syntax."""
        return split_match(self.match)[1]


def split_match(match: str) -> tuple[frozenset[str] | None, str]:
    """Read `POST /upload`, `GET,PATCH /users/<int:id>` or `/any/method` into methods and rule."""
    methods, _, rule = match.strip().rpartition(" ")
    if not rule.startswith("/"):
        raise ValueError(
            f"'{match}' is not a match: write methods and a path, such as POST /upload"
        )
    if methods.strip() in ("", "*"):
        return None, rule
    names = [name.strip() for name in methods.replace(",", " ").split()]
    for name in names:
        if _TOKEN.fullmatch(name) is None:
            raise ValueError(f"'{name}' in '{match}' is not a method")
    return frozenset(name.upper() for name in names), rule


class Config(Frozen):
    """A whole strangler.yaml."""

    listen: AddressText = "127.0.0.1:8000"
    admin: AddressText | None = Field(
        None, description="inspection over HTTP; its token comes from STRANGLER_ADMIN_TOKEN"
    )
    tls: ServerTls | None = None
    trusted_proxies: tuple[Annotated[str, AfterValidator(_network)], ...] = Field(
        (), description="addresses whose X-Forwarded-* and Forwarded headers are believed"
    )
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    upstreams: dict[Name, Upstream] = Field(min_length=1)
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
