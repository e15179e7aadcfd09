"""Read a response's head and write the one that goes to the client (RFC 9112 §4, §6). Pure.

llhttp has checked the head before it comes here. Nearly all of its lines pass, so they are not
taken apart: the few that do not are cut out of its bytes.
"""

import re

from strangler_proxy.wire.headers import named_by_connection
from strangler_proxy.wire.request import CHUNKED, COUNTED, NO_BODY

UNTIL_CLOSE = 3
"""A body that ends where the connection does, beside those that a request may have."""
UNKNOWN = 4
"""A body in a transfer coding that was not asked for: passed on, it would be taken for another."""

_VERSION = len(b"HTTP/1.1")
_STATUS_END = len(b"HTTP/1.1 200")
_SPACE = ord(" ")
# Searched for in the head in lower case: ignoring case inside the search takes three times as long.
_SPECIAL = re.compile(
    rb"\n(c(?:ontent-length|onnection)|keep-alive|proxy-connection|te|transfer-encoding|upgrade):"
    rb"([^\r]*)"
)


def read_head(raw: bytes, status: int, *, bodiless: bool) -> tuple[bytes, int, int]:
    """Understand a head: `raw` is its bytes up to the empty line.

    Returns what the client gets after the version (status, reason and fields, each with its line
    end), how the body is framed, and the length of a counted one. `bodiless`: the request was HEAD.
    """
    body, length = UNTIL_CLOSE, 0
    named: set[bytes] = set()
    kept: list[bytes] = []
    low, at = raw.lower(), 0
    for name, value in _SPECIAL.findall(low):
        if name == b"content-length":
            body, length = COUNTED, int(value)
            if status >= 200 and status != 204:  # RFC 9110 §8.6
                continue
        elif name == b"transfer-encoding":
            # RFC 9110 §5.5 lets a tab stand behind it, but llhttp then sees no chunks.
            known = body != UNKNOWN and value.lstrip(b" \t").rstrip(b" ") == b"chunked"
            body = CHUNKED if known else UNKNOWN
        elif name == b"connection":
            named.update(named_by_connection(value))
        start = low.index(b"\n" + name + b":", at)
        kept.append(raw[at:start])
        at = low.index(b"\n", start + 1)
    if at:
        raw = b"".join(kept) + raw[at:]
    if named:
        raw = _without(raw, named)
    if raw[_STATUS_END] != _SPACE:  # llhttp forgives it, RFC 9112 §4 has it even without a reason
        raw = raw[:_STATUS_END] + b" " + raw[_STATUS_END:]
    if bodiless or status < 200 or status == 204 or status == 304:
        body = NO_BODY
    return raw[_VERSION:], body, length


def _without(raw: bytes, named: set[bytes]) -> bytes:
    first, *lines = raw.splitlines(keepends=True)
    kept = [line for line in lines if line.partition(b":")[0].lower() not in named]
    return b"".join([first, *kept])
