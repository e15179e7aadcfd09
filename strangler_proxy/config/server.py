"""How the proxy itself runs: towards clients, in its logs and traces. Frozen values."""

from typing import Annotated

from pydantic import Field

from strangler_proxy.config.fields import (
    Count,
    Frozen,
    HeaderName,
    HttpUrl,
    Redacted,
    RedisUrl,
    Seconds,
    Variable,
    WholeNumber,
)

SamplePercent = Annotated[float, Field(ge=0, le=100)]


class ServerTls(Frozen):
    """TLS towards clients: PEM files."""

    certificate: str
    key: str


class Limits(Frozen):
    """What a client may send, beyond which the answer is 413, 414 or 431; and how much is kept."""

    target_bytes: Count = Field(8_192, description="longest request target (414)")
    header_bytes: Count = Field(32_768, description="longest request head (431)")
    headers: Count = Field(100, description="most header lines in a request (431)")
    body_bytes: Count = Field(4 * 2**30, description="longest request body (413)")
    gather_bytes: WholeNumber = Field(
        256 * 1024, description="so much of a body is here before an upstream is asked; 0: nothing"
    )
    gather_total_bytes: WholeNumber = Field(
        64 * 2**20, description="gathered by a worker at the same time; more bodies are not"
    )


class Timeouts(Frozen):
    """How long the proxy waits for a client, in seconds."""

    header_s: Seconds = Field(
        10, description="first byte of a request to the end of its head (408)"
    )
    body_idle_s: Seconds = Field(30, description="between two pieces of a body, either way")
    body_min_rate: WholeNumber = Field(
        500, description="least bytes a second of a request's body (408); 0: any"
    )
    body_grace_s: Seconds = Field(20, description="a body may be behind that rate by this time")
    keepalive_s: Seconds = Field(75, description="an idle connection is kept")
    tunnel_idle_s: Seconds = Field(3600, description="an upgraded connection may be silent")
    drain_s: Seconds = Field(30, description="requests in flight may finish after SIGTERM")


class Force(Frozen):
    """Let one request choose its side: `X-Strangler-Side: candidate <secret>`, or the cookie.

    The cookie is `strangler_side=candidate:<secret>`. Neither ever reaches an upstream.
    """

    secret_env: Variable = Field(description="variable that holds the secret, 16 bytes at least")


class AccessLog(Frozen):
    """A line of JSON for each answer."""

    path: str = Field("-", description="file to append to; - is standard output")
    sample_percent: SamplePercent = Field(
        100, description="percent of requests written; those that failed (5xx) always are"
    )
    headers: tuple[HeaderName, ...] = Field(
        ("user-agent",), description="request headers to write down"
    )
    redact: tuple[Redacted, ...] = Field(
        (
            "header:authorization",
            "header:cookie",
            "query:access_token",
            "query:api_key",
            "query:code",
            "query:password",
            "query:token",
        ),
        description="what is replaced by *** wherever it would be written",
    )


class Tracing(Frozen):
    """W3C trace context: continued, begun where there is none, and exported if `otlp` says where.

    Spans are exported over OTLP by the extra `strangler-proxy[otel]`.
    """

    sample_percent: SamplePercent = Field(
        100, description="percent of traces begun here that are sampled; a caller's word stands"
    )
    otlp: HttpUrl | None = Field(
        None, description="where spans go, such as http://127.0.0.1:4318/v1/traces"
    )
    service: str = "strangler-proxy"


class Consul(Frozen):
    """The registry that upstreams with `consul:` are found in."""

    url: HttpUrl = "http://127.0.0.1:8500"
    token_env: Variable | None = Field(None, description="variable that holds an ACL token")
    datacenter: str | None = None


class LimitStore(Frozen):
    """Where rate limits are counted: by default in memory that all workers of the proxy share."""

    redis: RedisUrl | None = Field(
        None, description="count there instead, so that several machines share one limit"
    )
    password_env: Variable | None = Field(None, description="variable with Redis' password")
    timeout_s: Seconds = Field(0.1, description="Redis is given this long; then see while_down")
    retry_s: Seconds = Field(1, description="a Redis that failed is asked again after this time")
    while_down: str = Field(
        "count",
        pattern="^(count|refuse)$",
        description="count: in this machine's memory meanwhile; refuse: 503",
    )
    entries: Annotated[int, Field(ge=1024, le=2**22)] = Field(
        65_536, description="callers counted at the same time in shared memory, 64 bytes each"
    )
