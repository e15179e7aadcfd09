"""Who the client is said to be: X-Forwarded-*, Forwarded (RFC 7239), Via and X-Request-ID. Pure.

What the client itself says of these is believed only when it comes from a trusted address.
"""

import ipaddress
import re
import secrets
from collections.abc import Callable, Iterable
from itertools import count

from strangler_proxy.wire.headers import Header

# One pseudonym for all proxies of this kind: a chain of a few is fine, a loop is not.
VIA_LINE = b"Via: 1.1 strangler_proxy\r\n"
MAX_PASSES = 8
_PSEUDONYM = b"strangler_proxy"
_USABLE_ID = re.compile(rb"[A-Za-z0-9._~:+/=@-]{1,128}")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_trusted(peer: str, networks: Iterable[Network]) -> bool:
    """Whether a peer's word about earlier hops is believed."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:  # a Unix socket has no address
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def forwarded_lines(peer: str, *, tls: bool, host: bytes) -> bytes:
    """The header lines that tell an upstream who asked, for a peer that is not itself a proxy."""
    scheme = b"https" if tls else b"http"
    address = peer.encode()
    node = b'"[%b]"' % address if b":" in address else address
    quoted = host.replace(b"\\", b"").replace(b'"', b"")
    return (
        b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n"
        b'Forwarded: for=%b;proto=%b;host="%b"\r\n'
    ) % (address, scheme, host, node, scheme, quoted)


def extended_lines(peer: str, *, tls: bool, host: bytes, believed: Iterable[Header]) -> bytes:
    """The same for a trusted peer: what it said is kept, and the peer is added to the chain."""
    kept = [(name, value) for name, value in believed]
    names = {name.lower() for name, _ in kept}
    chain = [value for name, value in kept if name.lower() == b"x-forwarded-for"]
    elements = [value for name, value in kept if name.lower() == b"forwarded"]
    lines = [
        b"%b: %b\r\n" % header
        for header in kept
        if header[0].lower() not in (b"x-forwarded-for", b"forwarded")
    ]
    address = peer.encode()
    node = b'"[%b]"' % address if b":" in address else address
    lines.append(b"X-Forwarded-For: %b\r\n" % b", ".join([*chain, address]))
    lines.append(b"Forwarded: %b\r\n" % b", ".join([*elements, b"for=" + node]))
    if b"x-forwarded-proto" not in names:
        lines.append(b"X-Forwarded-Proto: %b\r\n" % (b"https" if tls else b"http"))
    if b"x-forwarded-host" not in names:
        lines.append(b"X-Forwarded-Host: %b\r\n" % host)
    return b"".join(lines)


def passes(via: Iterable[bytes]) -> int:
    """How often a request has been through a proxy of this kind."""
    return sum(value.count(_PSEUDONYM) for value in via)


def is_usable_id(value: bytes) -> bool:
    """Whether a client's X-Request-ID is fit to be kept: short, and safe in logs and headers."""
    return _USABLE_ID.fullmatch(value) is not None


def request_ids() -> Callable[[], bytes]:
    """A source of ids, unique across workers and restarts; names only, not secrets."""
    prefix = secrets.token_hex(8).encode()
    numbers = count(1)
    return lambda: b"%b-%x" % (prefix, next(numbers))
