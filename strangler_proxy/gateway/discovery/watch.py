"""Asks one source for as long as it runs. While the source fails, what it said last stays."""

import asyncio
import logging
import random
from collections.abc import Callable

from strangler_proxy.config.address import Address
from strangler_proxy.gateway.discovery.pace import backoff_s
from strangler_proxy.gateway.discovery.source import NoAnswer, Source

log = logging.getLogger(__name__)
SETTLE_S = 10.0
"""A registry that has just come back may not know anybody yet: Consul's agents call all their
instances critical until each has passed a check. That nobody is there is believed after this."""


class Watch:
    """One source being asked; `learned` is called with each set of addresses to serve by."""

    def __init__(
        self,
        what: str,
        source: Source,
        known: tuple[Address, ...],
        learned: Callable[[tuple[Address, ...]], None],
        clock: Callable[[], float],
        settle_s: float = SETTLE_S,
    ) -> None:
        self.what = what
        self.answered = asyncio.Event()
        """Set after the first answer, and when there will be none because it has been stopped."""
        self.failing_since: float | None = None
        self.fault: str | None = None
        self._source = source
        self._known = known
        self._learned = learned
        self._clock = clock
        self._settle_s = settle_s
        self._settled_at = float("-inf")
        self._doubted: asyncio.TimerHandle | None = None
        self.task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Ask no more; `task` is over when it has ended."""
        self.task.cancel()
        self._believe_nothing()
        self.answered.set()

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                addresses = await self._source.ask()
            except NoAnswer as fault:
                self._failed(str(fault))
            except Exception as fault:
                # A watch that ends is noticed by nobody, and its addresses would grow old.
                log.exception("a fault of the proxy's own while asking %s", self.what)
                self._failed(f"a fault of the proxy's own: {fault!r}")
            else:
                failures = 0
                self._answer(addresses)
                continue
            failures += 1
            await asyncio.sleep(backoff_s(failures, random.random()))  # noqa: S311 - spreads load

    def _failed(self, fault: str) -> None:
        self._believe_nothing()
        self.fault = fault
        if self.failing_since is None:
            self.failing_since = self._clock()
            log.warning(
                "%s gives no answer (%s): its last known addresses serve on: %s",
                self.what,
                fault,
                ", ".join(map(str, self._known)) or "none is known",
            )

    def _answer(self, addresses: tuple[Address, ...]) -> None:
        now = self._clock()
        if self.failing_since is not None:
            log.info("%s answers again, after %.1f s", self.what, now - self.failing_since)
            self.failing_since = self.fault = None
            self._settled_at = now + self._settle_s
        self.answered.set()
        if addresses or not self._known or now >= self._settled_at:
            self._believe_nothing()
            self._take(addresses)
        elif self._doubted is None:
            log.warning("%s has just come back and knows nobody: waiting for more", self.what)
            loop = asyncio.get_running_loop()
            self._doubted = loop.call_later(self._settled_at - now, self._take, ())

    def _believe_nothing(self) -> None:
        """Drop the news that nobody is there, which was waiting to be believed."""
        if self._doubted is not None:
            self._doubted.cancel()
            self._doubted = None

    def _take(self, addresses: tuple[Address, ...]) -> None:
        self._doubted = None
        self._known = addresses
        self._learned(addresses)
