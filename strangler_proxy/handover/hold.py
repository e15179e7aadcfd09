"""Hold the requests of a move's routes at every proxy, or at none.

A proxy may be another machine's: each is asked at the same time as the others, and what one
refuses, all give back. A hold whose name was never heard ends by itself.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from strangler_proxy.config import ConfigError, Serve, edit_serve, load
from strangler_proxy.config.edit import PreparedEdit, prepare_serve
from strangler_proxy.handover.faults import HandoverFault, HandoverRefused
from strangler_proxy.handover.way import Owner
from strangler_proxy.running.client import ProxyUnreachable, Refused, Released, RunningProxy

Answer = TypeVar("Answer")


class HoldRefused(HandoverFault):
    """A proxy does not hold, does not keep a hold, or does not flip under it."""


class Proxy(Protocol):
    """One proxy, with the routes of one move."""

    name: str

    def prepare(self, to: Owner) -> None:
        """Work out the flip to a side, and change nothing.

        HandoverRefused when the routes are not wholly served by the other side now.
        """

    def hold(self, seconds: float, drain_s: float) -> str:
        """Park what comes, in every worker, with all answered that was sent before; its name.

        HoldRefused when nothing is held.
        """

    def flip(self, hold: str) -> None:
        """Do what was prepared: every worker serves that side, and has kept the hold until then.

        HoldRefused when one has not; who serves is then for `serve` to put right.
        """

    def serve(self, owner: Owner) -> bool:
        """Let this side serve, whatever was before; whether every worker has confirmed it."""

    def release(self, hold: str) -> Released:
        """Send on what is held. HoldRefused when there is no such hold any more."""


Holds = Mapping[str, str]
"""The name of the hold at each proxy, by the proxy's name."""


def acquire(proxies: Sequence[Proxy], seconds: float, drain_s: float) -> Holds:
    """Hold everywhere; HoldRefused, with nothing held anywhere, when one refuses."""

    def ask(proxy: Proxy) -> str | Exception:
        try:
            return proxy.hold(seconds, drain_s)
        except Exception as fault:  # noqa: BLE001 - whatever it was, the others give back first
            return fault

    answers = dict(zip((proxy.name for proxy in proxies), _all(ask, proxies), strict=True))
    holds = {name: answer for name, answer in answers.items() if isinstance(answer, str)}
    refused = [answer for answer in answers.values() if not isinstance(answer, str)]
    if refused:
        release(proxies, holds)
        raise refused[0]
    return holds


def release(proxies: Sequence[Proxy], holds: Holds) -> Released:
    """Let go everywhere; the sum of what was held, the longest time, the first that broke."""

    def ask(proxy: Proxy) -> Released:
        try:
            return proxy.release(holds[proxy.name])
        except HandoverFault as gone:
            return Released(0, 0.0, str(gone))

    told = _all(ask, [proxy for proxy in proxies if proxy.name in holds])
    broken = [each.broken for each in told if each.broken]
    lasted_s = max((each.lasted_s for each in told), default=0.0)
    return Released(sum(each.held for each in told), lasted_s, broken[0] if broken else None)


def flip(proxies: Sequence[Proxy], holds: Holds) -> None:
    """Have all serve what was prepared, under their holds. HoldRefused when one does not."""
    _all(lambda proxy: proxy.flip(holds[proxy.name]), proxies)


def serve(proxies: Sequence[Proxy], owner: Owner) -> tuple[str, ...]:
    """Have all serve by this side; sentences about those that have not confirmed it."""
    confirmed = _all(lambda proxy: proxy.serve(owner), proxies)
    return tuple(
        f"{proxy.name}: its file says {owner}, and no proxy has confirmed it"
        for proxy, sure in zip(proxies, confirmed, strict=True)
        if not sure
    )


class LocalProxy:
    """The proxy that serves a configuration file of this machine."""

    def __init__(self, path: Path, routes: Sequence[str]) -> None:
        self.name = str(path)
        self._path, self._routes = path, tuple(routes)
        self._running = RunningProxy(path)
        self._prepared: PreparedEdit | None = None

    def prepare(self, to: Owner) -> None:
        """See Proxy."""
        if not self._routes:
            raise HandoverRefused("the move names no routes, so its writers cannot be held")
        try:
            self._running.status()
            self._refuse_mixed(to.other)
            self._prepared = prepare_serve(self._path, self._wanted(to))
        except (ConfigError, ProxyUnreachable) as fault:
            raise HandoverRefused(str(fault)) from fault

    def hold(self, seconds: float, drain_s: float) -> str:
        """See Proxy."""
        try:
            return self._running.hold(list(self._routes), seconds=seconds, drain_s=drain_s)
        except (Refused, ProxyUnreachable, ConfigError) as fault:
            raise HoldRefused(f"{self.name}: {fault}") from fault

    def flip(self, hold: str) -> None:
        """See Proxy."""
        if self._prepared is None:
            raise HandoverRefused(f"{self.name}: the flip was not prepared")
        try:
            self._prepared.apply()
            self._running.reload(hold=hold)
        except (Refused, ProxyUnreachable, ConfigError, OSError) as fault:
            raise HoldRefused(f"{self.name}: {fault}") from fault

    def serve(self, owner: Owner) -> bool:
        """See Proxy; a proxy that does not run will serve by its file."""
        try:
            wanted = self._wanted(owner)
            config = load(self._path)
            now = {route.name: route.serve for route in config.routes}
            if any(now.get(name) != serve for name, serve in wanted.items()):
                edit_serve(self._path, wanted)
        except (ConfigError, OSError) as fault:
            raise HandoverRefused(f"{self.name} cannot be set to {owner}: {fault}") from fault
        with suppress(ConfigError, Refused, ProxyUnreachable):
            self._running.reload()
            return True
        return False

    def release(self, hold: str) -> Released:
        """See Proxy."""
        try:
            return self._running.release(hold)
        except (Refused, ProxyUnreachable, ConfigError) as fault:
            raise HoldRefused(f"{self.name}: {fault}") from fault

    def _wanted(self, owner: Owner) -> dict[str, Serve]:
        percent = {Owner.CONTROL: 0, Owner.CANDIDATE: 100}[owner]
        config = load(self._path)
        found = {name: config.route(name) for name in self._routes}
        return {
            name: Serve(candidate_percent=percent, sticky=route.serve.sticky if route else "client")
            for name, route in found.items()
        }

    def _refuse_mixed(self, owner: Owner) -> None:
        config = load(self._path)
        wanted = self._wanted(owner)
        mixed = [
            name for name in self._routes if (it := config.route(name)) and it.serve != wanted[name]
        ]
        if mixed:
            raise HandoverRefused(
                f"{self.name}: {name} is not served by the {owner} alone, which owns the tables: "
                f"run `strangler flip {name} --to {owner}` first"
                for name in mixed
            )


def _all(ask: Callable[[Proxy], Answer], proxies: Sequence[Proxy]) -> list[Answer]:
    """Ask each at the same time as the others; the first fault is raised when all are done."""
    if len(proxies) < 2:
        return [ask(proxy) for proxy in proxies]
    with ThreadPoolExecutor(len(proxies)) as pool:
        asked = [pool.submit(ask, proxy) for proxy in proxies]
    return [each.result() for each in asked]
