"""What a caller is known by, for canaries and limits. Pure.

One caller is one however it spells itself: what an upstream reads alike counts alike. What is given
twice names nobody, for upstreams differ in which of two they believe.
"""

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address

from strangler_proxy.wire.headers import Header, fields
from strangler_proxy.wire.identity import Network, is_trusted
from strangler_proxy.wire.remembered import remembered
from strangler_proxy.wire.request import RequestHead

# Some proxies put the port into X-Forwarded-For: each connection would be another client.
_WITH_PORT = re.compile(rb"([0-9.]+):\d{1,5}|\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?")
# A cookie, as werkzeug.sansio.http has it; but nothing is tried twice, so its time is linear.
_PAIR = re.compile(
    rb"""
    [ \t]*+ ([^ \t=";]++)
    (?: [ \t]*+ = [ \t]*+ (?: "((?: [^\\"] | \\. )*+)" | ([^ \t";]*+) ) )?+
    [ \t]*+ (?: ; | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(rb"\\([0-3][0-7]{2}|.)", re.DOTALL)


def caller(
    head: RequestHead,
    key: str,
    peer: str,
    believed: Iterable[Header] = (),
    trusted: Iterable[Network] = (),
) -> bytes:
    """The value of a header or cookie, else the client's address, of IPv6 its /64.

    `key`: `client`, `header:<name>` or `cookie:<name>`, or `address`, which is the whole of it;
    `believed`: what a trusted peer says of earlier hops; `trusted`: networks whose word that is.
    """
    kind, _, name = key.partition(":")
    if kind == "header":
        value = _header(head, name.lower().encode())
    elif kind == "cookie":
        value = _cookie(head, name.encode())
    else:
        value = None
    if value:
        return value
    whole = address(peer, believed, trusted)
    return whole if key == "address" else network(whole)


def _header(head: RequestHead, name: bytes) -> bytes | None:
    """Its value, under either spelling (WSGI gives `X_Key` and `X-Key` one name)."""
    name = name.replace(b"_", b"-")
    given = [
        value
        for field, value in fields(head.lines)
        if len(field) == len(name) and field.lower().replace(b"_", b"-") == name
    ]
    if len(given) != 1:
        return None
    return _credentials(given[0]) if name == b"authorization" else given[0].strip()


def _credentials(value: bytes) -> bytes:
    """A scheme has no case, and any space may follow it (RFC 9110 §11.4) or, to Python, end it."""
    words = value.decode("latin-1").split()
    if len(words) > 1:
        words[0] = words[0].lower()
    return " ".join(words).encode("latin-1")


def _cookie(head: RequestHead, name: bytes) -> bytes | None:
    """Its value as Werkzeug reads it: `"\\141bc"` is `abc`."""
    given = [value for field, value in fields(head.lines) if field.lower() == b"cookie"]
    if len(given) != 1:
        return None  # some join two by a comma, some by a semicolon: they read other cookies
    values = {value for key, value in _pairs(given[0]) if key == name}
    return values.pop() if len(values) == 1 else None


def _pairs(line: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while True:
        if found := _PAIR.match(line, at):
            quoted = found[2]
            value = found[3] if quoted is None else _ESCAPED.sub(_unescape, quoted)
            yield found[1], value or b""
            at = found.end()
        elif (at := line.find(b";", at) + 1) == 0:
            return


def _unescape(escaped: re.Match[bytes]) -> bytes:
    told = escaped[1]
    return told if len(told) == 1 else bytes([int(told, 8)])


@remembered(4096)
def network(client: bytes) -> bytes:
    """What one client has of addresses: one of IPv4; of IPv6 a /64 (RFC 6177), all of it."""
    if b":" not in client:
        return client
    try:
        known = IPv6Address(client.decode("latin-1"))
    except ValueError:
        return client
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped).encode()
    return b"%b/64" % str(IPv6Address(known.packed[:8] + bytes(8))).encode()


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
