"""One cut-over under way: what its stages hand on to each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from strangler_proxy.handover import fingerprint, parts
from strangler_proxy.handover.crossing import Crossing
from strangler_proxy.handover.cutover.timing import Timing
from strangler_proxy.handover.cutover.wishes import Wishes
from strangler_proxy.handover.hold import Holds, Proxy
from strangler_proxy.handover.ownership import OwnerLedger
from strangler_proxy.handover.proof import Proof


@dataclass(slots=True)
class Attempt:
    """`holds` are those that are to be released, `shapes` the owner's tables as they were before.

    `proved` and `applied_before`, the entries applied by then, are there once it was intended.
    """

    crossing: Crossing
    proxies: Sequence[Proxy]
    ledger: OwnerLedger
    wishes: Wishes
    timing: Timing
    holds: Holds = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    shapes: Mapping[str, str] = field(default_factory=dict)
    proved: Proof | None = None
    applied_before: int = 0

    def look(self) -> Mapping[str, str]:
        """The shapes of the owner's tables now."""
        tables = [pair.source.table for pair in self.crossing.way.pairs]
        return fingerprint.of(self.crossing.source, tables)

    def number(self, margin: int) -> tuple[str, ...]:
        """Have the target's new ids begin above those given, by a margin; sentences for people."""
        crossing = self.crossing
        return tuple(
            sentence
            for pair in crossing.way.pairs
            for sentence in parts.number(pair, crossing.source, crossing.target, margin)
        )
