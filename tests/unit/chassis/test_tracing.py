"""Trace context: what is passed on, what is not, and the trace in the log."""

from __future__ import annotations

import json
import logging

import pytest
from flask import Flask
from werkzeug.datastructures import Headers

from extracted.chassis import logs, tracing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def test_a_valid_parent_is_passed_on_with_its_state_and_baggage() -> None:
    given = {"traceparent": PARENT, "tracestate": "congo=t61,rojo=00f0", "baggage": "user=7"}
    assert tracing.read_context(Headers(given)) == given


@pytest.mark.parametrize(
    "parent",
    [
        "",
        PARENT.upper(),
        PARENT + "-more",
        PARENT.replace("00-", "ff-", 1),
        PARENT.replace(TRACE, "0" * 32),
        PARENT.replace("00f067aa0ba902b7", "0" * 16),
        PARENT[:-1],
        f"{PARENT},{PARENT}",
        f"{PARENT}\n",
        f"cc-{TRACE}-00f067aa0ba902b7-01-{'x' * 600}",
    ],
)
def test_an_invalid_parent_is_dropped_with_its_state(parent: str) -> None:
    headers = Headers({"tracestate": "a=1", "baggage": "b=2"})
    if "\n" not in parent:
        headers["traceparent"] = parent
    assert tracing.read_context(headers) == {"baggage": "b=2"}
    assert tracing.read_trace_id(parent) is None


def test_a_later_version_may_say_more() -> None:
    assert tracing.read_trace_id(PARENT.replace("00-", "01-", 1) + "-more") == TRACE


def test_what_no_header_may_hold_is_not_passed_on() -> None:
    assert tracing.read_context(Headers({"baggage": "b=\xe9"})) == {}
    assert tracing.read_context(Headers({"baggage": "b" * 9000})) == {}


def test_log_lines_name_the_trace_of_their_request() -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, "m", None, None)
    format_ = logs.JsonLines("sample").format
    app = Flask("sample")
    with app.test_request_context(headers={"traceparent": PARENT}):
        assert json.loads(format_(record))["trace_id"] == TRACE
        assert tracing.passed_on() == {"traceparent": PARENT}
    with app.test_request_context(headers={"traceparent": "bogus"}):
        assert "trace_id" not in json.loads(format_(record))
    assert "trace_id" not in json.loads(format_(record))
    assert tracing.passed_on() == {}
