"""Why a request could not be answered by an upstream, and whose fault it was. Pure.

A fault names who failed: the client (nothing is counted against a service) or the upstream.
Every fault becomes one `application/problem+json` answer (RFC 9457).
"""

import json
from dataclasses import dataclass
from http import HTTPStatus


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer that the proxy gives by itself."""

    status: int
    detail: str
    by_upstream: bool = False
    by_rule: bool = False
    """The request itself is sound, but a rule of the file does not let it pass."""
    retry_after_s: int | None = None
    lines: bytes = b""
    """Header lines of its own, each with its line end."""


def bad_request(detail: str) -> Fault:
    """400: the request is malformed or could be read in two ways."""
    return Fault(400, detail)


def bad_gateway(upstream: str, what: str) -> Fault:
    """502: the upstream could not be reached or did not speak HTTP."""
    return Fault(502, f"upstream '{upstream}' {what}", by_upstream=True)


def gateway_timeout(upstream: str, what: str) -> Fault:
    """504: the upstream did not answer in time."""
    return Fault(504, f"upstream '{upstream}' {what}", by_upstream=True)


def overloaded(upstream: str, what: str) -> Fault:
    """503: the upstream has no room for the request; it was not sent."""
    return Fault(503, f"upstream '{upstream}' {what}", by_upstream=True, retry_after_s=1)


def given_up(upstream: str, retry_after_s: int) -> Fault:
    """503: the upstream failed, and while the request paused its breaker opened."""
    told = f"upstream '{upstream}' has failed too often and is not asked again for now"
    return Fault(503, told, by_upstream=True, retry_after_s=retry_after_s)


def unauthorized(detail: str, challenge: bytes) -> Fault:
    """401: the route asks for a token that it believes (RFC 6750 §3)."""
    return Fault(401, detail, by_rule=True, lines=b"WWW-Authenticate: %b\r\n" % challenge)


def too_many(detail: str, retry_after_s: int, lines: bytes) -> Fault:
    """429: this caller has asked too often; `lines` tell the limit."""
    return Fault(429, detail, by_rule=True, retry_after_s=retry_after_s, lines=lines)


def unavailable(detail: str, retry_after_s: int = 1) -> Fault:
    """503 by a rule: nobody was asked."""
    return Fault(503, detail, by_rule=True, retry_after_s=retry_after_s)


REQUEST_TIMEOUT = Fault(408, "the request did not arrive in time")
LOOP = Fault(508, "the request has passed this proxy too often: an upstream's URL leads back here")


def problem(fault: Fault, request_id: bytes, *, head_only: bool, close: bool) -> bytes:
    """The whole answer for a fault, ready to be written."""
    phrase = HTTPStatus(fault.status).phrase
    body = json.dumps(
        {
            "type": "about:blank",
            "title": phrase,
            "status": fault.status,
            "detail": fault.detail,
            "request_id": request_id.decode("latin-1"),
        }
    ).encode()
    lines = [
        b"HTTP/1.1 %d %b" % (fault.status, phrase.encode()),
        b"Content-Type: application/problem+json",
        b"Content-Length: %d" % len(body),
        b"X-Request-ID: " + request_id,
    ]
    if fault.retry_after_s is not None:
        lines.append(b"Retry-After: %d" % fault.retry_after_s)
    if close:
        lines.append(b"Connection: close")
    head = b"\r\n".join(lines) + b"\r\n" + fault.lines + b"\r\n"
    return head if head_only else head + body
