"""Who the addresses of every upstream are, and which of them are well, for the workers.

Everything runs on one event loop. Nothing here waits for a registry, a resolver or an upstream:
they are asked in tasks, and `changed` is called with what they bring.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from strangler_proxy.config import Config
from strangler_proxy.config.address import parse_address
from strangler_proxy.gateway.discovery.names import Names
from strangler_proxy.gateway.discovery.watch import Watch
from strangler_proxy.gateway.following import Following, Means
from strangler_proxy.gateway.remembered import Remembered
from strangler_proxy.gateway.roster import Member
from strangler_proxy.gateway.sessions import Sessions

__all__ = ["Member", "Membership"]


class Membership:
    """The addresses of all upstreams of a configuration.

    `changed` is called on the loop, once for a burst, with the upstreams whose members differ from
    what they were at its last call; all of them are in `members()`. `remembered` is a file of this
    proxy's own.
    """

    def __init__(
        self,
        changed: Callable[[frozenset[str]], None],
        remembered: Path,
        clock: Callable[[], float] = time.monotonic,
        names: Names | None = None,
    ) -> None:
        names = names or Names()
        self._changed = changed
        self._remembered = Remembered(remembered)
        self._sessions = Sessions(names)
        self._means = Means(names, self._sessions, self._remembered, clock, self._touch)
        self._following: dict[str, Following] = {}
        self._former: dict[str, Following] = {}
        """What the last configuration took out: it comes back as it was if that one is refused."""
        self._waited_for: set[Watch] = set()
        self._told: dict[str, tuple[Member, ...]] = {}
        self._telling: asyncio.Handle | None = None
        self._closed = False

    def configure(self, config: Config) -> None:
        """Find and check what this configuration says; what did not change runs on untouched.

        An upstream with a new source serves by its old addresses until that source answers.
        """
        before = {**self._former, **self._following}
        self._former = {
            name: each for name, each in self._following.items() if name not in config.upstreams
        }
        for each in self._former.values():
            each.stop()
        self._following = {
            name: before.get(name) or Following(name, self._means) for name in config.upstreams
        }
        for name, upstream in config.upstreams.items():
            self._following[name].follow(upstream, config.consul)
        self._touch()

    async def first_answers(self, timeout_s: float) -> None:
        """Wait until every new source has answered once, or for `timeout_s`; for none twice.

        Those that have not are served by what they said before this process began, if anything.
        """
        now = {each.watch for each in self._following.values() if each.watch is not None}
        watches, self._waited_for = now - self._waited_for, now
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                for watch in watches:
                    await watch.answered.wait()

    def members(self) -> dict[str, tuple[Member, ...]]:
        """The addresses of every upstream, in an order that changes only with them."""
        return {name: each.roster.members for name, each in self._following.items()}

    def member(self, upstream: str, address: str) -> Member:
        """An address, however it is spelt; LookupError says what there is instead."""
        if upstream not in self._following:
            known = _listed(self._following)
            raise LookupError(f"'{upstream}' is not an upstream; there are: {known}")
        roster = self._following[upstream].roster
        try:
            found = parse_address(address)
        except ValueError as fault:
            raise LookupError(str(fault)) from None
        if found not in roster.addresses:
            known = _listed(roster.addresses)
            raise LookupError(f"'{upstream}' has no address {address}; it has: {known}")
        return roster.member(found)

    def drain(self, upstream: str, address: str, draining: bool) -> Member:
        """Take an address out of service, or back in; forgotten when the address leaves.

        LookupError as in `member`.
        """
        found = self.member(upstream, address).address
        self._following[upstream].roster.drain(found, draining)
        self._touch()
        return self.member(upstream, address)

    def status(self) -> list[dict[str, Any]]:
        """For people and programs that look: every upstream, its source, addresses and checks."""
        return [each.status() for each in self._following.values()]

    async def close(self) -> None:
        """Stop all that runs; `changed` is not called any more."""
        self._closed = True
        if self._telling is not None:
            self._telling.cancel()
            self._remember()
        for each in self._following.values():
            each.stop()
        await asyncio.gather(*self._means.ending, return_exceptions=True)
        await self._sessions.close()

    def _touch(self) -> None:
        if self._telling is None and not self._closed:
            self._telling = asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._telling = None
        before, self._told = self._told, self.members()
        self._remember()
        names = frozenset(name for name, now in self._told.items() if before.get(name) != now)
        if names:
            self._changed(names)

    def _remember(self) -> None:
        entries = {name: each.to_remember for name, each in self._following.items()}
        self._remembered.save({name: entry for name, entry in entries.items() if entry})


def _listed(things: Iterable[object]) -> str:
    return ", ".join(map(str, things)) or "none"
