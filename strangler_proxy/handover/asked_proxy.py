"""What every proxy is asked in the same words, by whichever door: to hold, and to let go.

Each question has its share of the hold's time, so a proxy that hangs is given up while it lasts.
"""

from collections.abc import Sequence

from strangler_proxy.config import ConfigError
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.hold import HoldRefused, said
from strangler_proxy.handover.patience import Patience
from strangler_proxy.running.client import ProxyUnreachable, Refused, Released, RunningProxy

NOT_TOLD = (Refused, ProxyUnreachable, ConfigError)
"""What a question may end with instead of an answer."""


class AskedProxy:
    """The part of hold.Proxy that local and remote proxies share."""

    def __init__(
        self, name: str, running: RunningProxy, routes: Sequence[str], patience: Patience | None
    ) -> None:
        self.name = name
        self._routes = tuple(routes)
        self._running = running
        self._patience = patience or Patience()

    def hold(self, seconds: float, drain_s: float) -> str:
        """See Proxy."""
        self._patience.begin(seconds)
        try:
            return self._running.hold(self._routes, seconds=seconds, drain_s=drain_s)
        except NOT_TOLD as fault:
            self._patience.end()
            raise HoldRefused(said(self.name, fault)) from fault

    def release(self, hold: str) -> Released:
        """See Proxy."""
        try:
            return self._running.release(hold, self._patience.share_s())
        except NOT_TOLD as fault:
            raise HoldRefused(said(self.name, fault)) from fault
        finally:
            self._patience.end()

    def _begin_preparing(self) -> None:
        """Nothing is held by an attempt before; HandoverRefused when there is nothing to hold."""
        if not self._routes:
            raise HandoverRefused("the move names no routes, so its writers cannot be held")
        self._patience.end()
