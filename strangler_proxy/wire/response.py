"""Read a response's head and write the one that goes to the client (RFC 9112 §4, §6). Pure.

llhttp has checked the head before it comes here. Nearly all of its lines pass, so they are not
taken apart: the few that do not are cut out of its bytes.
"""

import re
from typing import NamedTuple

from strangler_proxy.wire.headers import connection_options, named_by_connection
from strangler_proxy.wire.request import CHUNKED, COUNTED, NO_BODY

UNTIL_CLOSE = 3
"""A body that ends where the connection does, beside those that a request may have."""
UNKNOWN = 4
"""A body in a transfer coding that was not asked for: passed on, it would be taken for another."""

# Searched for in the head in lower case: ignoring case inside the search takes three times as long.
_SPECIAL = re.compile(
    rb"\n(c(?:ontent-length|onnection)|keep-alive|proxy-connection|te|transfer-encoding|upgrade):"
    rb"([^\r]*)"
)
_VERSION = len(b"HTTP/1.1")


class AnswerHead(NamedTuple):
    """A response's head, understood.

    `passing`: what the client gets after the version: status, reason and fields, without the last
    line end. `length`: of a counted body, in bytes.
    """

    passing: bytes
    body: int
    length: int


def read_head(raw: bytes, status: int, *, bodiless: bool) -> AnswerHead:
    """Understand a head: `raw` is its bytes up to the empty line, without the last line end.

    `bodiless`: the request was HEAD, so no body follows.
    """
    body, length = UNTIL_CLOSE, 0
    named: frozenset[bytes] = frozenset()
    for name, value in _SPECIAL.findall(raw.lower()):
        if name == b"content-length":
            body, length = COUNTED, int(value)
            if status >= 200 and status != 204:  # RFC 9110 §8.6
                continue
        elif name == b"transfer-encoding":
            body = CHUNKED if body != UNKNOWN and value.strip(b" \t") == b"chunked" else UNKNOWN
        elif name == b"connection":
            named |= named_by_connection(connection_options(value))
        raw = _cut(raw, name)
    if named:
        raw = _without(raw, named)
    if bodiless or status < 200 or status == 204 or status == 304:
        body = NO_BODY
    return AnswerHead(raw[_VERSION:], body, length)


def _cut(raw: bytes, name: bytes) -> bytes:
    """The head without the first line of this lower-case name."""
    start = raw.lower().index(b"\r\n" + name + b":")
    end = raw.find(b"\r\n", start + 2)
    return raw[:start] + raw[end:] if end >= 0 else raw[:start]


def _without(raw: bytes, named: frozenset[bytes]) -> bytes:
    first, *lines = raw.split(b"\r\n")
    kept = [line for line in lines if line.partition(b":")[0].lower() not in named]
    return b"\r\n".join([first, *kept])
