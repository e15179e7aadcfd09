"""From which address a client comes, where a proxy stands in between. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
# Whoever has one address of IPv6 mostly has all of its /64.
IPV6_PREFIX = 64


def networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks, separated by commas. Raises ValueError."""
    try:
        return tuple(ip_network(each.strip()) for each in text.split(","))
    except ValueError as error:
        raise ValueError(f"names addresses and networks such as 10.0.0.0/8: {error}") from None


def client_address(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """The client that a connection from `peer` speaks for.

    `forwarded` is its X-Forwarded-For. It is believed from `trusted` addresses alone, and read
    from its end: whoever is in front of them may have written what comes before.
    """
    address = peer
    for hop in reversed([each.strip() for each in forwarded.split(",")]):
        if not _within(address, trusted) or not _is_address(hop):
            break
        address = hop
    return address


def counted_as(address: str) -> str:
    """Under which name tries from this address are counted."""
    if not _is_address(address):
        return address
    parsed = ip_address(address)
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), IPV6_PREFIX), strict=False))


def _within(address: str, trusted: Sequence[Network]) -> bool:
    return _is_address(address) and any(ip_address(address) in network for network in trusted)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
