"""What a caller is known by, for canaries and limits. Pure."""

import re
from collections.abc import Iterable

from strangler_proxy.wire.headers import Header, fields
from strangler_proxy.wire.identity import Network, is_trusted
from strangler_proxy.wire.request import RequestHead

# Some proxies put the port into X-Forwarded-For: each connection would be another client.
_WITH_PORT = re.compile(rb"([0-9.]+):\d{1,5}|\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?")


def caller(
    head: RequestHead,
    key: str,
    peer: str,
    believed: Iterable[Header] = (),
    trusted: Iterable[Network] = (),
) -> bytes:
    """The value of a header or cookie, else the client's address.

    `key`: `client`, `header:<name>` or `cookie:<name>`; `believed`: what a trusted peer says of
    earlier hops; `trusted`: the networks whose word that is.
    """
    kind, _, name = key.partition(":")
    value = None
    if kind == "header":
        value = head.value(name.lower().encode())
    elif kind == "cookie":
        value = cookie(head, name.encode())
    return value or address(peer, believed, trusted)


def address(peer: str, believed: Iterable[Header], trusted: Iterable[Network]) -> bytes:
    """The client's address: the last in the chain of hops that nobody trusted vouches for.

    What stands before it in the chain is what the client itself said, and could be anything.
    """
    chain = [
        _without_port(hop.strip())
        for name, value in believed
        if name.lower() == b"x-forwarded-for"
        for hop in value.split(b",")
        if hop.strip()
    ]
    for hop in reversed(chain):
        if not is_trusted(hop.decode("latin-1"), trusted):
            return hop
    return chain[0] if chain else peer.encode()


def _without_port(hop: bytes) -> bytes:
    found = _WITH_PORT.fullmatch(hop)
    return hop if found is None else found[1] or found[2]


def cookie(head: RequestHead, name: bytes) -> bytes | None:
    """The value of a cookie, None when there is none of that name."""
    for field, value in fields(head.lines):
        if field.lower() == b"cookie":
            for pair in value.split(b";"):
                key, _, held = pair.partition(b"=")
                if key.strip() == name:
                    return held.strip()
    return None


def without_cookie(lines: list[bytes], name: bytes) -> list[bytes]:
    """Header lines (as pieces) in which no Cookie field holds a cookie of that name."""
    kept: list[bytes] = []
    for field, value in fields(lines):
        if field.lower() == b"cookie":
            pairs = [pair.strip() for pair in value.split(b";")]
            value = b"; ".join(pair for pair in pairs if pair.partition(b"=")[0].strip() != name)
            if not value:
                continue
        kept += (field, b": ", value, b"\r\n")
    return kept
