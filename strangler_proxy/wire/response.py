"""Read a response's head and write the one that goes to the client (RFC 9112 §4, §6). Pure."""

from functools import lru_cache

from strangler_proxy.wire.headers import (
    CODING,
    CONNECTION,
    LENGTH,
    PLAIN,
    Header,
    classify_answer,
    connection_options,
    named_by_connection,
)
from strangler_proxy.wire.request import CHUNKED, COUNTED, NO_BODY

UNTIL_CLOSE = 3
"""A body that ends where the connection does, beside those that a request may have."""


def read_head(status: int, headers: list[Header], lines: list[bytes], *, bodiless: bool) -> int:
    """Add the header lines that pass to `lines`; returns how the body is framed.

    `bodiless`: the request was HEAD, so no body follows.
    """
    body = UNTIL_CLOSE
    start = len(lines)
    options: list[bytes] = []
    for name, value in headers:
        kind = classify_answer(name)
        if kind == PLAIN:
            lines += (name, b": ", value, b"\r\n")
        elif kind == LENGTH:
            body = COUNTED
            if status >= 200 and status != 204:  # RFC 9110 §8.6
                lines += (name, b": ", value, b"\r\n")
        elif kind == CODING:
            body = CHUNKED
        elif kind == CONNECTION:
            options.append(value)
    if options and (named := named_by_connection(connection_options(b",".join(options)))):
        lines[start:] = _without(lines[start:], named)
    return NO_BODY if bodiless or status < 200 or status in (204, 304) else body


def _without(lines: list[bytes], named: frozenset[bytes]) -> list[bytes]:
    pieces = iter(lines)
    quads = zip(pieces, pieces, pieces, pieces, strict=True)
    return [piece for quad in quads if quad[0].lower() not in named for piece in quad]


@lru_cache(maxsize=256)
def status_line(status: int, reason: bytes) -> bytes:
    """`HTTP/1.1 200 OK` with its line end; kept, because few differ."""
    return b"HTTP/1.1 %d %b\r\n" % (status, reason)
