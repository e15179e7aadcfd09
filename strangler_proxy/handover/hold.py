"""Hold the requests of a move's routes at every proxy, or at none.

A proxy may be another machine's: each is asked at the same time as the others, and what one
refuses, all give back. A hold that comes about after it was given up ends as soon as the proxy sees
that nobody waits for it, at the latest by itself: it delays requests, and sends them on to whoever
serves then.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from strangler_proxy.handover.faults import HandoverFault
from strangler_proxy.handover.way import Owner
from strangler_proxy.running.client import ProxyUnreachable, Released

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

        HoldRefused when nothing is held, or no answer came within `drain_s` and a moment.
        """

    def flip(self, hold: str) -> None:
        """Do what was prepared: every worker serves that side, and has kept the hold until then.

        HoldRefused when one has not, or does not say so while enough of the hold is left to undo
        it; who serves is then for `serve` to put right.
        """

    def serve(self, owner: Owner) -> bool:
        """Let this side serve, whatever was before; whether every worker has confirmed it.

        Waits no longer than the hold lasts. HandoverRefused when it cannot be set at all.
        """

    def release(self, hold: str) -> Released:
        """Send on what is held; `broken` says that it was over. HoldRefused: nobody answered."""


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
        f"{proxy.name}: it has not confirmed that the {owner} serves: see `strangler routes` "
        "there, and flip by hand if it does not"
        for proxy, sure in zip(proxies, confirmed, strict=True)
        if not sure
    )


def mixed(proxy: str, names: Iterable[str], owner: Owner) -> tuple[str, ...]:
    """What to say of routes that the owner does not serve alone."""
    return tuple(
        f"{proxy}: {name} is not served by the {owner} alone, which owns the tables: "
        f"run `strangler flip {name} --to {owner}` first"
        for name in names
    )


def said(proxy: str, fault: Exception) -> str:
    """A proxy's refusal, with its name; one that is not there is named by itself."""
    return str(fault) if isinstance(fault, ProxyUnreachable) else f"{proxy}: {fault}"


def _all(ask: Callable[[Proxy], Answer], proxies: Sequence[Proxy]) -> list[Answer]:
    """Ask each at the same time as the others; the first fault is raised when all are done."""
    if len(proxies) < 2:
        return [ask(proxy) for proxy in proxies]
    with ThreadPoolExecutor(len(proxies)) as pool:
        asked = [pool.submit(ask, proxy) for proxy in proxies]
    return [each.result() for each in asked]
