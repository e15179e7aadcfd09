"""W3C trace context: read from the request being served, passed on as it came, never made.

A service that makes no spans of its own passes `traceparent` on unchanged (Trace Context, 4.3).
"""

from __future__ import annotations

import re

from flask import has_request_context, request
from werkzeug.datastructures import Headers

# Version ff is no version; of later versions than 00 only the part known today is checked, and
# there may be more behind it (Trace Context, 3.2.2).
PARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
PRINTABLE = re.compile(r"[\t\x20-\x7e]{1,8192}")


def trace_id() -> str | None:
    """The trace that the request being served belongs to, if it says so in a valid way."""
    return read_trace_id(request.headers.get("traceparent", "")) if has_request_context() else None


def passed_on() -> dict[str, str]:
    """The headers that carry the trace of the request being served to another service."""
    return read_context(request.headers) if has_request_context() else {}


def read_context(headers: Headers) -> dict[str, str]:
    """What of these headers is to be passed on; `tracestate` only beside a valid `traceparent`."""
    traced = read_trace_id(headers.get("traceparent", "")) is not None
    names = ("traceparent", "tracestate", "baggage") if traced else ("baggage",)
    found = {name: headers.get(name, "") for name in names}
    return {name: value for name, value in found.items() if PRINTABLE.fullmatch(value)}


def read_trace_id(traceparent: str) -> str | None:
    """The 32 hexadecimal digits of the trace, or None when this is no valid `traceparent`."""
    match = PARENT.fullmatch(traceparent)
    if match is None or len(traceparent) > 512:
        return None
    version, trace, parent, more = match.groups()
    if (version == "00" and more) or not trace.strip("0") or not parent.strip("0"):
        return None
    return trace
