"""What the admin interface asks of a running proxy. The supervisor satisfies it; tests have a fake.

Nothing here knows of HTTP. `who` is a sentence for the audit file, made by who.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from strangler_proxy.admin.orders import HoldOrder
from strangler_proxy.config import Config


class HoldRefused(Exception):
    """Nothing is held; the message says why."""


class Proxy(Protocol):
    """A running proxy: the configuration it serves, what it has counted, what it can be told."""

    @property
    def config(self) -> Config:
        """What is served now."""

    @property
    def config_path(self) -> Path:
        """The file that it came from, and that a flip edits."""

    @property
    def stopping(self) -> bool:
        """Whether what is in flight is only being finished."""

    async def status(self) -> dict[str, Any]:
        """Who serves what: pid, listen, generation, workers."""

    async def counts(self) -> dict[str, Any]:
        """Requests, failures and latencies by route and upstream."""

    async def figures(self) -> dict[str, Any]:
        """All that metrics.py tells, over all workers that ever were."""

    async def upstreams(self) -> list[dict[str, Any]]:
        """Each upstream: name, addresses, breaker, in_flight, idle, waiting."""

    async def keys(self) -> list[dict[str, Any]]:
        """What is known of each issuer of tokens."""

    async def reload(self, who: str, hold: str | None = None) -> int:
        """Serve by the file as it is now; the generation that all workers serve.

        Under a `hold` only while every worker keeps it.

        Raises ConfigError or AuditFailed, with the old configuration still served everywhere.
        """

    async def hold(self, order: HoldOrder, who: str, waited_for: Callable[[], bool]) -> str:
        """Park the requests of some routes in every worker, or in none; the hold's name.

        Raises HoldRefused, also when nobody waits for it any more, LookupError with a sentence,
        AuditFailed.
        """

    async def release(self, name: str, who: str) -> dict[str, Any]:
        """Send on what is held: `held`, `lasted_s`, and in `broken` why it did not last."""

    async def set_breaker(self, upstream: str, state: str, who: str) -> None:
        """Hold a breaker `open` or `closed`, or let it judge again: `auto`.

        Raises LookupError and ValueError with a sentence, AuditFailed.
        """

    async def drain_address(self, upstream: str, address: str, draining: bool, who: str) -> None:
        """Send an address no new requests, or send them again; returns when all workers know.

        Raises LookupError with a sentence, AuditFailed, TimeoutError.
        """

    async def stop_by(self, who: str) -> None:
        """Finish what is in flight and stop, as after SIGTERM. Raises AuditFailed."""
