"""Spans of the proxy's requests, sent to a collector over OTLP by a thread of OpenTelemetry's.

Imported only where spans are exported: needs the extra `otel`. Spans are made when a request has
ended, under the ids that went upstream with it; what finds no room in the queue is dropped.
"""

import contextlib
import threading
from importlib.metadata import version

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from strangler_proxy.config import Tracing
from strangler_proxy.config.address import parse_address
from strangler_proxy.wire.tracing import Outcome, Span, TraceContext

_TIMEOUT_S = 5
# The names that http.request.method may have; another is _OTHER, so that nobody can make up many.
_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
Attributes = dict[str, str | int]


class SpanExporter:
    """The OpenTelemetry of one worker: nothing of it is global."""

    def __init__(self, settings: Tracing) -> None:
        self._ids = _GivenIds()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # the choice was made when the request came
            resource=Resource.create({"service.name": settings.service}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint=settings.otlp, timeout=_TIMEOUT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("strangler_proxy", version("strangler-proxy"))
        self._closed = False

    def export(self, span: Span, outcome: Outcome, ended_unix_ns: int) -> None:
        """Queue one span; never waits."""
        if self._closed:
            return
        self._ids.next = span.context
        attributes = _attributes(outcome)
        made = self._tracer.start_span(
            _name(outcome, str(attributes["http.request.method"])),
            context=_parent(span),
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=span.started_unix_ns,
        )
        if "error.type" in attributes:
            made.set_status(StatusCode.ERROR)
        made.end(ended_unix_ns)

    def close(self, wait_s: float) -> None:
        """Send what is queued, within this time; a collector that hangs is left behind."""
        self._closed = True
        ending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        ending.start()
        ending.join(wait_s)


class _GivenIds(IdGenerator):
    """The ids that the request went upstream with; for one thread."""

    next: TraceContext

    def generate_span_id(self) -> int:
        return int(self.next.span_id, 16)

    def generate_trace_id(self) -> int:
        return int(self.next.trace_id, 16)


def _parent(span: Span) -> Context:
    """The caller's span as the parent; an empty context, in which a trace begins, without one."""
    if span.parent is None:
        return Context()
    remote = SpanContext(
        int(span.parent.trace_id, 16),
        int(span.parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return set_span_in_context(NonRecordingSpan(remote), Context())


def _name(outcome: Outcome, method: str) -> str:
    verb = "HTTP" if method == "_OTHER" else method
    return f"{verb} {outcome.route}" if outcome.route else verb


def _attributes(outcome: Outcome) -> Attributes:
    """After the semantic conventions for HTTP server spans, version 1.23 and later."""
    method = outcome.method.decode("latin-1")
    known = method in _METHODS
    attributes: dict[str, str | int | None] = {
        "http.request.method": method if known else "_OTHER",
        "http.request.method_original": None if known else method[:64],
        "url.path": outcome.path[:2048].decode("utf-8", "backslashreplace"),
        "url.scheme": outcome.scheme,
        "http.route": outcome.route,
        "http.response.status_code": outcome.status,
        "client.address": outcome.client,
        "strangler.upstream": outcome.upstream,
        "error.type": _error(outcome),
    }
    if outcome.address is not None:
        with contextlib.suppress(ValueError):  # a Unix socket's path is no address
            attributes["server.address"], attributes["server.port"] = parse_address(outcome.address)
    return {key: value for key, value in attributes.items() if value is not None}


def _error(outcome: Outcome) -> str | None:
    if outcome.error is not None:
        return outcome.error
    status = outcome.status
    return str(status) if status is not None and status >= 500 else None
