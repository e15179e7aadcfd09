"""W3C trace context: a caller's trace is continued, or one is begun, and goes on upstream.

After Trace Context level 1, https://www.w3.org/TR/trace-context-1/. Nothing of OpenTelemetry is
imported unless spans are exported.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from strangler_proxy.config import Tracing

TRACEPARENT, TRACESTATE = b"traceparent", b"tracestate"
_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16
_SAMPLED = 0x01


class ExtraMissing(Exception):
    """The file asks for what is not installed; the message says what to install."""


@dataclass(slots=True)
class TraceContext:
    """A place in a trace: ids as lower-case hex, 32 and 16 digits."""

    trace_id: bytes
    span_id: bytes
    sampled: bool

    @property
    def traceparent(self) -> bytes:
        """The header's value for whoever is asked next; flags that nobody defined are zero."""
        flags = b"01" if self.sampled else b"00"
        return b"00-%b-%b-%b" % (self.trace_id, self.span_id, flags)


def parse(traceparent: bytes) -> TraceContext | None:
    """Read a traceparent (§3.2); None when it is invalid, and the trace must be begun anew.

    Of versions that are not known yet, what version 00 defines is read (§4.3).
    """
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def begin(rng: Random, *, sampled: bool) -> TraceContext:
    """The first place of a new trace."""
    trace_id = b"%032x" % (rng.getrandbits(128) or 1)
    return TraceContext(trace_id, _span_id(rng), sampled)


def child(parent: TraceContext, rng: Random) -> TraceContext:
    """A new place in the same trace; whoever asks several in parallel gives each its own."""
    return TraceContext(parent.trace_id, _span_id(rng), parent.sampled)


def _span_id(rng: Random) -> bytes:
    return b"%016x" % (rng.getrandbits(64) or 1)


@dataclass(slots=True)
class Span:
    """The proxy's own part in a trace: one request. Times are of two clocks, in nanoseconds."""

    context: TraceContext
    parent: TraceContext | None
    """What the caller sent. None: the trace begins here, and a tracestate must be dropped."""
    started_unix_ns: int = 0
    started_ns: int = 0


@dataclass(slots=True)
class Outcome:
    """How a request ended, for its span."""

    method: bytes
    path: bytes
    """Without the query, which may hold secrets."""
    status: int | None
    """What the client got; None when it got nothing."""
    route: str | None = None
    """The route's path rule; None when no route matched."""
    scheme: str = "http"
    client: str | None = None
    upstream: str | None = None
    address: str | None = None
    """The upstream's host:port."""
    error: str | None = None
    """A word for what failed, such as connect or timeout; a 5xx status speaks for itself."""


class Exporter(Protocol):
    """Takes spans away. Never waits, never raises."""

    def export(self, span: Span, outcome: Outcome, ended_unix_ns: int) -> None:
        """Take one span; it is dropped when there is no room."""

    def close(self, wait_s: float) -> None:
        """Send what is there, within this time."""


class Tracer:
    """Gives each request its place in a trace, and tells the collector, where there is one.

    Raises ExtraMissing when spans are to be exported and OpenTelemetry is not installed.
    """

    def __init__(self, settings: Tracing, rng: Random | None = None) -> None:
        self._sample = settings.sample_percent / 100
        self._rng = rng or Random()  # noqa: S311 - ids must differ, not be secret
        self._exporter = None if settings.otlp is None else _exporter(settings)

    def start(self, traceparents: Sequence[bytes] = ()) -> Span:
        """Continue the trace of the request's traceparent headers, or begin one.

        More than one header is as bad as an invalid one (§3.2: it is not a list).
        """
        parent = parse(traceparents[0]) if len(traceparents) == 1 else None
        if parent is not None:
            span = Span(child(parent, self._rng), parent)
        else:
            span = Span(begin(self._rng, sampled=self._rng.random() < self._sample), None)
        if self._exporter is not None and span.context.sampled:
            span.started_unix_ns, span.started_ns = time.time_ns(), time.monotonic_ns()
        return span

    def exports(self, span: Span) -> bool:
        """Whether `end` does anything with this span: spare the making of an Outcome otherwise."""
        return self._exporter is not None and span.context.sampled

    def end(self, span: Span, outcome: Outcome) -> None:
        """Hand the span to the exporter; never waits."""
        if self._exporter is not None and span.context.sampled:
            ended = span.started_unix_ns + time.monotonic_ns() - span.started_ns
            self._exporter.export(span, outcome, ended)

    def close(self, wait_s: float = 0.0) -> None:
        """Send what is there, within this time; whatever is left is lost."""
        if self._exporter is not None:
            self._exporter.close(wait_s)


def _exporter(settings: Tracing) -> Exporter:
    try:
        from strangler_proxy.wire.otlp import SpanExporter
    except ImportError as fault:
        raise ExtraMissing(
            "tracing.otlp needs OpenTelemetry: pip install 'strangler-proxy[otel]', "
            f"or leave otlp out ({fault})"
        ) from fault
    return SpanExporter(settings)
