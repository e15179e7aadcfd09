"""Which addresses of an upstream are well: asks each of them, and counts what they say.

A new address is well until checks have said otherwise: a start is no outage.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import aiohttp
from yarl import URL

from strangler_proxy.config import HealthCheck, Upstream
from strangler_proxy.config.address import Address
from strangler_proxy.gateway.sessions import reason
from strangler_proxy.gateway.tls import client_context

log = logging.getLogger(__name__)
AT_ONCE = 256
"""Checks of the whole proxy that are under way together."""
AT_ONCE_EACH = 32
"""Of one upstream: one whose addresses all hang must not take the places of the others."""
_LEAST_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checks of one address have come to. Pure."""

    well: bool = True
    against: int = 0
    """Checks in a row that say the opposite of `well`."""

    def after(self, passed: bool, rules: HealthCheck) -> "Verdict":
        """The verdict after one more check."""
        if passed is self.well:
            return Verdict(self.well)
        needed = rules.fall if self.well else rules.rise
        if self.against + 1 >= needed:
            return Verdict(not self.well)
        return Verdict(self.well, self.against + 1)


@dataclass(frozen=True, slots=True)
class Checked:
    """One check: whether it passed, what was said, and when (monotonic seconds)."""

    passed: bool
    said: str
    at: float


class Checks:
    """Checks the addresses of one upstream; `seen` is called with each result.

    `places` bounds the checks of the whole proxy, AT_ONCE of them, that are under way together.
    Raises OSError or ssl.SSLError when made with an unusable CA file.
    """

    def __init__(
        self,
        upstream: Upstream,
        rules: HealthCheck,
        session: aiohttp.ClientSession,
        places: asyncio.Semaphore,
        seen: Callable[[Address, Checked], None],
        clock: Callable[[], float],
    ) -> None:
        self.rules = rules
        self._path = upstream.health or "/"
        self._scheme = "https" if upstream.tls_on else "http"
        self._context = client_context(upstream)
        self._name = upstream.tls_name
        self._session = session
        self._places = places
        self._own_places = asyncio.Semaphore(AT_ONCE_EACH)
        self._seen = seen
        self._clock = clock
        self._tasks: dict[Address, asyncio.Task[None]] = {}

    def cover(self, addresses: Iterable[Address]) -> list[asyncio.Task[None]]:
        """Check these and no others from now on; gives the checks that are now ending."""
        wanted = dict.fromkeys(addresses)
        ending = [self._tasks.pop(address) for address in [*self._tasks] if address not in wanted]
        for task in ending:
            task.cancel()
        loop = asyncio.get_running_loop()
        for address in wanted:
            if address not in self._tasks:
                self._tasks[address] = loop.create_task(self._keep_checking(address))
        return ending

    async def _keep_checking(self, address: Address) -> None:
        await asyncio.sleep(random.random() * min(self.rules.every_s, 0.5))  # noqa: S311 - spreads load
        while True:
            # Counted from the beginning: a check that takes its whole time delays no other.
            due = self._clock() + self.rules.every_s * random.uniform(0.9, 1.1)  # noqa: S311
            try:
                async with self._own_places, self._places:
                    checked = await self.check(address)
                self._seen(address, checked)
            except Exception:
                log.exception("a fault of the proxy's own while checking %s", address)
            await asyncio.sleep(max(_LEAST_PAUSE_S, due - self._clock()))

    async def check(self, address: Address) -> Checked:
        """Ask one address once, on a connection of its own."""
        passed = False
        try:
            async with asyncio.timeout(self.rules.timeout_s):
                status = await self._status(address)
            passed, said = 200 <= status < 300, str(status)
        except TimeoutError:
            said = f"no answer in {self.rules.timeout_s:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            said = reason(fault)
        return Checked(passed, said, self._clock())

    async def _status(self, address: Address) -> int:
        async with self._session.get(
            URL(f"{self._scheme}://{address}{self._path}"),
            headers={"Host": str(address)},
            ssl=self._context or True,
            server_hostname=self._name if self._context else None,
            allow_redirects=False,
        ) as response:
            return response.status
