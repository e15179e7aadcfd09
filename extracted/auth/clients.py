"""From which address a client comes, where a proxy stands in between. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

# `unix` is whoever connects by a socket file: no address is told of it.
UNIX: Literal["unix"] = "unix"
Network = IPv4Network | IPv6Network | Literal["unix"]
# Whoever has one address of IPv6 mostly has all of its /64.
IPV6_PREFIX = 64


def networks(text: str) -> tuple[Network, ...]:
    """Addresses, networks and the word `unix`, separated by commas. Raises ValueError."""
    try:
        return tuple(_network(each.strip()) for each in text.split(","))
    except ValueError as error:
        told = f"names addresses and networks such as 10.0.0.0/8, or unix: {error}"
        raise ValueError(told) from None


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
    parsed = _unmapped(address)
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    return str(IPv6Network((int(parsed), IPV6_PREFIX), strict=False))


def _network(text: str) -> Network:
    return UNIX if text == UNIX else ip_network(text)


def _within(address: str, trusted: Sequence[Network]) -> bool:
    if not address:
        return UNIX in trusted
    return _is_address(address) and any(
        _unmapped(address) in network for network in trusted if network != UNIX
    )


def _unmapped(address: str) -> IPv4Address | IPv6Address:
    """The address; one of IPv4 also when it came by a socket of IPv6, as ::ffff:192.0.2.7."""
    parsed = ip_address(address)
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
