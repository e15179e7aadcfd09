"""Trace context as W3C has it, and spans as a collector gets them."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

from strangler_proxy.config import Tracing
from strangler_proxy.wire.tracing import Outcome, Span, TraceContext, Tracer, begin, child, parse
from tests.wire_tools.proxy import until

TRACE, SPAN = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"
VALID = b"00-" + TRACE + b"-" + SPAN


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (VALID + b"-00", False),
        (VALID + b"-01", True),
        (VALID + b"-fe", False),
        (VALID + b"-ff", True),
        (b"cc" + VALID[2:] + b"-01", True),
        (b"cc" + VALID[2:] + b"-01-what-the-future-will-be-like", True),
        (b"cc" + VALID[2:] + b"-01-", True),
    ],
)
def test_valid_traceparents_are_read(value: bytes, sampled: bool) -> None:
    assert parse(value) == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        VALID,
        VALID + b"-1",
        VALID + b"-001",
        VALID + b"-0g",
        VALID + b"-0A",
        VALID + b"-01-",
        VALID + b"-01-more",
        VALID + b"-01 ",
        VALID + b"-01\n",
        b" " + VALID + b"-01",
        b"ff" + VALID[2:] + b"-01",
        b"ff" + VALID[2:] + b"-01-more",
        b"0" + VALID[2:] + b"-01",
        b"cc" + VALID[2:] + b"-01.more",
        b"cc" + VALID[2:] + b"-012",
        (VALID + b"-01").upper(),
        b"00-" + b"0" * 32 + b"-" + SPAN + b"-01",
        b"00-" + TRACE + b"-" + b"0" * 16 + b"-01",
        b"00-" + TRACE[1:] + b"-" + SPAN + b"-01",
        b"00-" + TRACE + b"-0" + SPAN + b"-01",
        b"00_" + TRACE + b"-" + SPAN + b"-01",
        b"\xff" * 55,
    ],
)
def test_anything_else_is_no_traceparent(value: bytes) -> None:
    assert parse(value) is None


@given(st.randoms(use_true_random=False), st.booleans())
def test_what_is_sent_can_be_read_and_children_differ_in_the_span_alone(
    rng: Random, sampled: bool
) -> None:
    first = begin(rng, sampled=sampled)
    second = child(first, rng)
    assert parse(first.traceparent) == first
    assert (second.trace_id, second.sampled) == (first.trace_id, first.sampled)
    assert parse(second.traceparent) == second


def test_ids_of_zero_are_never_made() -> None:
    class Zero(Random):
        def getrandbits(self, k: int, /) -> int:
            return 0

    assert parse(begin(Zero(), sampled=True).traceparent) is not None


def test_a_trace_is_continued_with_its_id_and_flags_under_a_new_span() -> None:
    tracer = Tracer(Tracing(sample_percent=0))
    span = tracer.start([VALID + b"-01"])
    assert span.parent == TraceContext(TRACE, SPAN, True)
    assert span.context.trace_id == TRACE
    assert span.context.span_id != SPAN
    sent = re.fullmatch(rb"00-%b-([0-9a-f]{16})-01" % TRACE, span.context.traceparent)
    assert sent is not None
    assert sent[1] == span.context.span_id
    assert tracer.start([VALID + b"-00"]).context.sampled is False


@pytest.mark.parametrize("sent", [(), (b"nonsense",), (VALID + b"-01", VALID + b"-01")])
def test_without_one_valid_traceparent_a_trace_begins(sent: tuple[bytes, ...]) -> None:
    span = Tracer(Tracing()).start(sent)
    assert span.parent is None
    assert span.context.trace_id != TRACE
    assert span.context.sampled


def test_traces_begun_here_are_sampled_by_percent() -> None:
    tracer = Tracer(Tracing(sample_percent=10), Random(4))
    spans = [tracer.start() for _ in range(2000)]
    assert 140 < sum(span.context.sampled for span in spans) < 260
    assert len({span.context.trace_id for span in spans}) == 2000
    assert not any(tracer.exports(span) for span in spans)


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def test_without_a_collector_nothing_of_opentelemetry_is_imported() -> None:
    done = run(
        "import sys\n"
        "from strangler_proxy.config import Tracing\n"
        "from strangler_proxy.wire.tracing import Tracer\n"
        "Tracer(Tracing()).start()\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )
    assert done.stdout == "[]\n", done.stderr


def test_missing_extra_is_named() -> None:
    done = run(
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from strangler_proxy.config import Tracing\n"
        "from strangler_proxy.wire.tracing import ExtraMissing, Tracer\n"
        "try:\n"
        "    Tracer(Tracing(otlp='http://127.0.0.1:4318/v1/traces'))\n"
        "except ExtraMissing as missing:\n"
        "    print(missing)\n"
    )
    assert "pip install 'strangler-proxy[otel]'" in done.stdout, done.stderr


class Collector:
    """An OTLP receiver that keeps what it gets."""

    def __init__(self) -> None:
        self.spans: list[trace_pb2.Span] = []
        self.services: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(self.path, ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def take(self, path: str, request: ExportTraceServiceRequest) -> None:
        assert path == "/v1/traces"
        for resource in request.resource_spans:
            named = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            self.services.add(named["service.name"])
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with closing(Collector()) as collector:
        yield collector


def outcome(**values: Any) -> Outcome:
    known = {"method": b"GET", "path": b"/posts/7", "status": 200, "route": "/posts/<int:id>"}
    return Outcome(**known | values)


def attributes(span: trace_pb2.Span) -> dict[str, object]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "")
        for pair in span.attributes
    }


def exported(collector: Collector, *ended: tuple[Span, Outcome], tracer: Tracer) -> None:
    for span, how in ended:
        assert tracer.exports(span)
        tracer.end(span, how)
    tracer.close(10)
    until(lambda: len(collector.spans) >= len(ended), "the spans arrive")


def test_exported_spans_have_the_ids_that_went_upstream(collector: Collector) -> None:
    tracer = Tracer(Tracing(otlp=collector.url, service="gate"))
    continued, begun = tracer.start([VALID + b"-01"]), tracer.start()
    before = time.time_ns()
    exported(collector, (continued, outcome()), (begun, outcome()), tracer=tracer)
    first, second = collector.spans
    assert (first.trace_id.hex(), first.parent_span_id.hex()) == (TRACE.decode(), SPAN.decode())
    assert first.span_id.hex().encode() == continued.context.span_id
    assert second.trace_id.hex().encode() == begun.context.trace_id
    assert second.span_id.hex().encode() == begun.context.span_id
    assert second.parent_span_id == b""
    assert collector.services == {"gate"}
    for span in (first, second):
        assert span.kind == trace_pb2.Span.SPAN_KIND_SERVER
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        assert abs(span.start_time_unix_nano - before) < 60e9


def test_exported_spans_speak_the_semantic_conventions(collector: Collector) -> None:
    tracer = Tracer(Tracing(otlp=collector.url))
    well = outcome(upstream="posts", address="[::1]:3002", client="10.0.0.1", scheme="https")
    failed = outcome(status=502)
    broken = outcome(method=b"BREW", path=b"/\xff", status=None, route=None, error="client_gone")
    exported(
        collector,
        *((tracer.start(), how) for how in (well, failed, broken)),
        tracer=tracer,
    )
    first, second, third = collector.spans
    assert first.name == "GET /posts/<int:id>"
    assert first.status.code == trace_pb2.Status.STATUS_CODE_UNSET
    assert attributes(first) == {
        "http.request.method": "GET",
        "url.path": "/posts/7",
        "url.scheme": "https",
        "http.route": "/posts/<int:id>",
        "http.response.status_code": 200,
        "client.address": "10.0.0.1",
        "strangler.upstream": "posts",
        "server.address": "::1",
        "server.port": 3002,
    }
    assert second.status.code == trace_pb2.Status.STATUS_CODE_ERROR
    assert attributes(second)["error.type"] == "502"
    assert third.name == "HTTP"
    assert attributes(third) == {
        "http.request.method": "_OTHER",
        "http.request.method_original": "BREW",
        "url.path": "/\\xff",
        "url.scheme": "http",
        "error.type": "client_gone",
    }


def test_unsampled_spans_are_not_exported(collector: Collector) -> None:
    tracer = Tracer(Tracing(otlp=collector.url, sample_percent=0))
    unsampled = [tracer.start(), tracer.start([VALID + b"-00"])]
    for span in unsampled:
        assert not tracer.exports(span)
        tracer.end(span, outcome())
    exported(collector, (tracer.start([VALID + b"-01"]), outcome()), tracer=tracer)
    assert len(collector.spans) == 1


@pytest.mark.parametrize("kind", ["closed", "silent"])
def test_collector_that_does_not_answer_holds_nobody_up(kind: str) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    with listening:
        if kind == "closed":
            listening.close()
        tracer = Tracer(Tracing(otlp=f"http://127.0.0.1:{port}/v1/traces"))
        began = time.monotonic()
        for _ in range(5000):  # more than the queue holds
            tracer.end(tracer.start(), outcome())
        tracer.close(0.05)
        tracer.end(tracer.start(), outcome())
        assert time.monotonic() - began < 4  # a single failed export takes 5 s
