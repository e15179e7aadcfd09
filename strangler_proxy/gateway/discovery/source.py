"""What a place that knows addresses does, and how it says that it cannot. Opens nothing."""

import ipaddress
import logging
import re
from collections.abc import Iterable
from typing import Protocol

from strangler_proxy.config.address import Address

log = logging.getLogger(__name__)
MOST_ADDRESSES = 1024
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?")


class NoAnswer(Exception):
    """A source could not be asked, or what it said is no answer; the message says why."""


class Source(Protocol):
    """Knows the addresses of one upstream, and when to ask again."""

    async def ask(self) -> tuple[Address, ...]:
        """Wait for the next answer: all addresses there are now, sorted. Raises NoAnswer."""


def usable(host: str, port: int) -> Address | None:
    """An address that can be connected to, None for what a registry should not have said."""
    if not 0 < port < 65_536:
        return None
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return Address(host, port) if _HOST.fullmatch(host) else None
    # A zone id means something on one machine alone, and no URL can carry it (RFC 6874).
    return None if "%" in host else Address(host, port)


def gathered(name: str, addresses: Iterable[Address]) -> tuple[Address, ...]:
    """Each address once, sorted, at most MOST_ADDRESSES of them; what is left out is logged."""
    found = sorted(set(addresses))
    if len(found) > MOST_ADDRESSES:
        log.warning("%s has %d addresses; %d are used", name, len(found), MOST_ADDRESSES)
    return tuple(found[:MOST_ADDRESSES])
