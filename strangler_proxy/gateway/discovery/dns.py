"""Every address of a name, asked for again each so many seconds."""

import asyncio

from strangler_proxy.config.address import Address, parse_origin
from strangler_proxy.config.upstream import DnsName
from strangler_proxy.gateway.discovery.names import Names
from strangler_proxy.gateway.discovery.source import NoAnswer, gathered

TIMEOUT_S = 5.0


def described(dns: DnsName) -> str:
    """The source in words, different for each definition."""
    return f"DNS for {dns.url}"


class DnsSource:
    """One name. A hanging resolver holds one thread, however often it is asked."""

    def __init__(self, names: Names, dns: DnsName, timeout_s: float = TIMEOUT_S) -> None:
        self._names = names
        self._dns = dns
        self._timeout_s = timeout_s
        self._pause_s = 0.0

    async def ask(self) -> tuple[Address, ...]:
        """Wait until it is time and look the name up; NoAnswer when nothing is found."""
        pause_s, self._pause_s = self._pause_s, 0.0
        await asyncio.sleep(pause_s)
        host, port = parse_origin(self._dns.url).address
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await self._names.look_up(host, port)
        except TimeoutError:
            raise NoAnswer(f"no answer in {self._timeout_s:g} s") from None
        except OSError as fault:
            raise NoAnswer(fault.strerror or str(fault) or "the name is not known") from fault
        self._pause_s = self._dns.every_s
        return gathered(described(self._dns), found)
