"""What the supervisor finds out for its workers and shares with them, once for all of them.

Addresses and health, issuers' keys, and the memory in which breakers stand and requests are
counted. Workers ask no registry and fetch no keys: they are told.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strangler_proxy.config import Config
from strangler_proxy.gateway.membership import Membership
from strangler_proxy.policies.board import Board, Rows
from strangler_proxy.policies.breaker import Breaker

if TYPE_CHECKING:
    from strangler_proxy.gateway.keys import KeyStore

REMEMBERED = ".strangler/addresses.json"
FIRST_ANSWERS_S = 3.0
# An entry of the table of counts, and more than its head needs; only what is used takes memory.
_ENTRY_BYTES, _HEAD_BYTES = 64, 65_536


class Surroundings:
    """Everything around the workers.

    `members_changed` is called with the names of upstreams, `keys_changed` with the URL of a set.
    """

    def __init__(
        self,
        path: Path,
        config: Config,
        members_changed: Callable[[frozenset[str]], None],
        keys_changed: Callable[[str], None],
    ) -> None:
        self._keys_changed = keys_changed
        self.membership = Membership(members_changed, path.resolve().parent / REMEMBERED)
        self.board = Board()
        self.limits_fd = _counting_memory(config.limit_store.entries)
        self._rows = Rows()
        self._keys: KeyStore | None = None
        self._config = config

    def serve(self, config: Config, before: Config | None = None) -> None:
        """Find out what this configuration needs; `before`: what may have to be served again."""
        self._config = config
        self.membership.configure(config)
        tables = [each.tokens for each in (config, before) if each is not None]
        if self._keys is None and any(check.jwks for table in tables for check in table.values()):
            from strangler_proxy.gateway.keys import KeyStore

            self._keys = KeyStore(lambda url, _jwks: self._keys_changed(url), time.monotonic)
        if self._keys is not None:
            self._keys.configure(*tables)

    async def first_answers(self) -> None:
        """Wait a moment for new sources to answer; what they said last serves until they do."""
        await self.membership.first_answers(FIRST_ANSWERS_S)

    def briefing(self, config: Config) -> dict[str, Any]:
        """What goes with a configuration to each worker."""
        return {
            "members": self._members(frozenset(config.upstreams)),
            "rows": self._rows.of(list(config.upstreams)),
            "keys": self._keys.current() if self._keys is not None else {},
        }

    def news(self, names: frozenset[str], urls: frozenset[str]) -> dict[str, Any]:
        """What is to be told of these upstreams, and of the issuers with these URLs."""
        keys = self._keys.current() if self._keys is not None else {}
        return {
            "members": self._members(names),
            "keys": {url: jwks for url, jwks in keys.items() if url in urls},
        }

    def _members(self, names: frozenset[str]) -> dict[str, list[list[Any]]]:
        """The addresses of these upstreams, each as host, port, well, draining."""
        return {
            name: [
                [member.address.host, member.address.port, member.well, member.draining]
                for member in members
            ]
            for name, members in self.membership.members().items()
            if name in names
        }

    async def refresh_keys(self, url: str) -> dict[str, Any] | None:
        """The keys of an issuer after asking it again, if it was not asked just now."""
        return await self._keys.refresh(url) if self._keys is not None else None

    def key_status(self) -> list[dict[str, Any]]:
        """What is known of each issuer."""
        return self._keys.status() if self._keys is not None else []

    def breaker(self, name: str) -> Breaker:
        """The breaker of an upstream, as all workers see it; LookupError says what there is."""
        upstream = self._config.upstreams.get(name)
        if upstream is None:
            known = ", ".join(self._config.upstreams)
            raise LookupError(f"'{name}' is not an upstream; there are: {known}")
        if upstream.breaker is None:
            raise LookupError(f"'{name}' has no breaker: give it one in the file")
        row = self._rows.of([name])[name]
        return Breaker(upstream.breaker, self.board.cells(row), self.board.guard(row))

    def breakers(self) -> dict[str, Breaker]:
        """All breakers there are."""
        named = self._config.upstreams.items()
        return {name: self.breaker(name) for name, upstream in named if upstream.breaker}

    async def close(self) -> None:
        """Find out nothing more."""
        await self.membership.close()
        if self._keys is not None:
            await self._keys.close()


def _counting_memory(entries: int) -> int:
    fd = os.memfd_create("strangler-limits", os.MFD_CLOEXEC)
    os.ftruncate(fd, entries * _ENTRY_BYTES + _HEAD_BYTES)
    return fd
