"""Who serves a route, changed in the running proxy and changed back to what it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from strangler_proxy.steps.step import Facts, Pace, PartFailed

Percents = Mapping[str, int]
"""Route name -> percent of callers that the candidate serves."""


class FlipFailed(Exception):
    """The proxy could not be made to serve the table; the message says why."""


class Switchboard(Protocol):
    """The running proxy's table, as this part reads and changes it."""

    def percents(self, routes: Sequence[str]) -> Percents:
        """What the candidate serves of each route now. Raises FlipFailed."""

    def flip(self, routes: Sequence[str], percent: int) -> None:
        """Return when every worker serves it so. Raises FlipFailed."""


@dataclass(frozen=True)
class FlipRoutes:
    """Lets the candidate serve `percent` of the callers of the routes, 100 meaning all of them."""

    routes: tuple[str, ...]
    percent: int
    switchboard: Switchboard

    @property
    def name(self) -> str:
        """The part's name in the ledger."""
        return f"flip {'+'.join(self.routes)} to {self.percent}%"

    @property
    def family(self) -> str | None:
        """Flips of the same routes are undone at once, to what was before the first."""
        return f"flip {'+'.join(self.routes)}"

    @property
    def forward(self) -> str:
        """What executing does, for the plan."""
        share = "wholly" if self.percent == 100 else f"for {self.percent} % of callers"
        return f"flip {', '.join(self.routes)} to the candidate {share}"

    @property
    def back(self) -> str:
        """What undoing does, for the plan."""
        return f"flip {', '.join(self.routes)} back to what it was"

    def prepare(self) -> Facts:
        """Note who serves the routes now."""
        try:
            return {"before": dict(self.switchboard.percents(self.routes))}
        except FlipFailed as fault:
            raise PartFailed(str(fault)) from fault

    def execute(self, facts: Facts, pace: Pace) -> None:
        """Flip; a flip to what is served already is harmless."""
        self._flip(self.routes, self.percent)

    def undo(self, facts: Facts, pace: Pace) -> None:
        """Flip each route back, those that were served alike at once."""
        before: dict[str, int] = facts["before"]
        for percent in sorted(set(before.values())):
            self._flip([route for route in before if before[route] == percent], percent)

    def holds(self, facts: Facts) -> bool:
        """A table stays as it is written: later flips, and people, may have gone further."""
        return True

    def _flip(self, routes: Sequence[str], percent: int) -> None:
        try:
            self.switchboard.flip(routes, percent)
        except FlipFailed as fault:
            raise PartFailed(str(fault)) from fault


class Fallback(Protocol):
    """Who answers what no route names. Both raise FlipFailed."""

    def default(self) -> str:
        """The upstream that does now."""

    def lead_default(self, upstream: str) -> None:
        """Return when every worker sends it there."""


@dataclass(frozen=True)
class LeadDefault:
    """Lets `upstream` answer whatever no route names."""

    upstream: str
    fallback: Fallback
    family: str | None = None

    @property
    def name(self) -> str:
        """The part's name in the ledger."""
        return f"lead the rest to {self.upstream}"

    @property
    def forward(self) -> str:
        """What executing does, for the plan."""
        return f"let {self.upstream} answer whatever no route names"

    @property
    def back(self) -> str:
        """What undoing does, for the plan."""
        return "let whoever did it before answer that"

    def prepare(self) -> Facts:
        """Note who does now."""
        try:
            return {"before": self.fallback.default()}
        except FlipFailed as fault:
            raise PartFailed(str(fault)) from fault

    def execute(self, facts: Facts, pace: Pace) -> None:
        """Lead it there."""
        self._lead(self.upstream)

    def undo(self, facts: Facts, pace: Pace) -> None:
        """Lead it back."""
        self._lead(facts["before"])

    def holds(self, facts: Facts) -> bool:
        """A file stays as it is written: people may have gone further."""
        return True

    def _lead(self, upstream: str) -> None:
        try:
            self.fallback.lead_default(upstream)
        except FlipFailed as fault:
            raise PartFailed(str(fault)) from fault
