"""Read a response's head and write the one that goes to the client (RFC 9112 §4, §6). Pure."""

from functools import lru_cache

from strangler_proxy.wire.headers import (
    CODING,
    CONNECTION,
    LENGTH,
    Special,
    connection_options,
    named_by_connection,
    without,
)
from strangler_proxy.wire.request import CHUNKED, COUNTED, NO_BODY

UNTIL_CLOSE = 3
"""A body that ends where the connection does, beside those that a request may have."""


def read_head(
    status: int, lines: list[bytes], special: list[Special], *, bodiless: bool
) -> tuple[int, list[bytes]]:
    """How the body is framed, and the header lines that pass.

    `lines` are those that pass by themselves, Content-Length among them; `bodiless`: the request
    was HEAD, so no body follows.
    """
    body = UNTIL_CLOSE
    for kind, _, value in special:
        if kind == LENGTH:
            body = COUNTED
        elif kind == CODING:
            body = CHUNKED
        elif kind == CONNECTION and (named := named_by_connection(connection_options(value))):
            lines = without(lines, named)
    if status < 200 or status == 204:
        return NO_BODY, without(lines, _LENGTH)  # RFC 9110 §8.6
    return (NO_BODY if bodiless or status == 304 else body), lines


_LENGTH = frozenset({b"content-length"})


@lru_cache(maxsize=256)
def status_line(status: int, reason: bytes) -> bytes:
    """`HTTP/1.1 200 OK` with its line end; kept, because few differ."""
    return b"HTTP/1.1 %d %b\r\n" % (status, reason)
