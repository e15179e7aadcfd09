"""The proxy that serves a configuration file of this machine: asked over its socket.

Its file is edited here and not by it: what it is to serve stands there also while it does not run.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from strangler_proxy.config import ConfigError, Serve, edit_serve, load
from strangler_proxy.config.edit import PreparedEdit, prepare_serve
from strangler_proxy.handover.asked_proxy import NOT_TOLD, AskedProxy
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.hold import HoldRefused, mixed, said
from strangler_proxy.handover.patience import CALM_S, Patience
from strangler_proxy.handover.way import Owner
from strangler_proxy.running.client import RunningProxy


class LocalProxy(AskedProxy):
    """See hold.Proxy."""

    def __init__(self, path: Path, routes: Sequence[str], patience: Patience | None = None) -> None:
        super().__init__(str(path), RunningProxy(path), routes, patience)
        self._path = path
        self._prepared: PreparedEdit | None = None

    def prepare(self, to: Owner) -> None:
        """See Proxy."""
        self._begin_preparing()
        try:
            self._running.status(CALM_S)
            self._refuse_mixed(to.other)
            self._prepared = prepare_serve(self._path, self._wanted(to))
        except NOT_TOLD as fault:
            raise HandoverRefused(str(fault)) from fault

    def flip(self, hold: str) -> None:
        """See Proxy."""
        if self._prepared is None:
            raise HandoverRefused(f"{self.name}: the flip was not prepared")
        try:
            self._prepared.apply(self._patience.share_s())
            self._running.reload(hold, self._patience.share_s())
        except (*NOT_TOLD, OSError) as fault:
            raise HoldRefused(said(self.name, fault)) from fault

    def serve(self, owner: Owner) -> bool:
        """See Proxy; a proxy that does not run will serve by its file."""
        try:
            wanted = self._wanted(owner)
            config = load(self._path)
            now = {route.name: route.serve for route in config.routes}
            if any(now.get(name) != serve for name, serve in wanted.items()):
                edit_serve(self._path, wanted, self._patience.share_s())
        except (ConfigError, OSError) as fault:
            raise HandoverRefused(f"{self.name} cannot be set to {owner}: {fault}") from fault
        with suppress(*NOT_TOLD):
            self._running.reload(timeout_s=self._patience.share_s())
            return True
        return False

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
        names = [
            name for name in self._routes if (it := config.route(name)) and it.serve != wanted[name]
        ]
        if names:
            raise HandoverRefused(mixed(self.name, names, owner))
