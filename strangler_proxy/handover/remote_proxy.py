"""A proxy that is asked over its admin address, be it another machine's; it edits its own file.

Only durations are told it, never an instant: no two machines' clocks need agree. What it was asked
and did not answer in time may still be done there, but for a flip under a hold: that is refused
once its routes were flipped back, or nobody waits for it any more.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from strangler_proxy.handover.asked_proxy import NOT_TOLD, AskedProxy
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.hold import HoldRefused, mixed, said
from strangler_proxy.handover.patience import CALM_S, Patience
from strangler_proxy.handover.way import Owner
from strangler_proxy.running.client import RunningProxy
from strangler_proxy.running.doors import AddressDoor


class RemoteProxy(AskedProxy):
    """See hold.Proxy. `url` is http://host:port or https://…, `token` what opens it."""

    def __init__(
        self, url: str, token: str, routes: Sequence[str], patience: Patience | None = None
    ) -> None:
        super().__init__(url, RunningProxy(AddressDoor(url, token)), routes, patience)
        self._to: Owner | None = None

    def prepare(self, to: Owner) -> None:
        """See Proxy."""
        self._begin_preparing()
        try:
            reasons = tuple(self._reasons(to.other))
            if not reasons:
                self._running.flip(self._routes, to, check=True, timeout_s=CALM_S)
        except NOT_TOLD as fault:
            raise HandoverRefused(said(self.name, fault)) from fault
        if reasons:
            raise HandoverRefused(reasons)
        self._to = to

    def flip(self, hold: str) -> None:
        """See Proxy."""
        if self._to is None:
            raise HandoverRefused(f"{self.name}: the flip was not prepared")
        try:
            self._running.flip(
                self._routes, self._to, hold=hold, timeout_s=self._patience.share_s()
            )
        except NOT_TOLD as fault:
            raise HoldRefused(said(self.name, fault)) from fault

    def serve(self, owner: Owner) -> bool:
        """See Proxy; one that cannot be reached serves on by its file, whatever that says."""
        with suppress(*NOT_TOLD):
            self._running.flip(self._routes, owner, timeout_s=self._patience.share_s())
            return True
        return False

    def _reasons(self, owner: Owner) -> Iterator[str]:
        """Why its routes cannot be handed over from this side, a sentence for each."""
        rows = {row["name"]: row for row in self._running.routes(CALM_S)}
        for name in self._routes:
            if name not in rows:
                yield f"{self.name}: has no route '{name}'; it has: {', '.join(rows) or 'none'}"
            elif rows[name]["candidate"] is None:
                yield f"{self.name}: route '{name}' has no candidate to flip to"
        yield from mixed(
            self.name,
            [name for name in self._routes if rows.get(name, {}).get("serve", owner) != owner],
            owner,
        )
