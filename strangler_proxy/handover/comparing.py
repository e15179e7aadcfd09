"""A move's tables verified with what is known of it: changes that wait explain differences."""

from collections.abc import Callable
from dataclasses import replace

from strangler_proxy.handover import parts
from strangler_proxy.handover.claiming import CLAIM_S, claim_both
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.ledger import Ledger
from strangler_proxy.handover.ownership import ownership_beside, read_ownership
from strangler_proxy.handover.site import Site, changes_there
from strangler_proxy.handover.standing import Phase
from strangler_proxy.handover.verify import Limits, Report
from strangler_proxy.handover.verify.verify import Progress
from strangler_proxy.handover.way import Owner

_REPAIRED_AT_ONCE = 1_000
_ROUNDS = 20
_STEPS = 1_000  # of some thousand entries; what is left explains what differs


def compare(
    site: Site,
    listed: int,
    progress: Progress | None = None,
    owner: Owner = Owner.CONTROL,
) -> Report:
    """Verify both sides whole, also while a mover is at work; `listed` differences are kept.

    Differences are told as of what follows from the owner: its side is the source.
    """
    site, pending = site.owned_by(owner), None
    if changes_there(site.source, site.move, site.home):
        pending = parts.waiting(site.capture, site.source)
    source, target = site.ends.source, site.ends.target
    limits = Limits(listed=listed)
    with parts.verifier(site.pairs, source, target, limits) as verifier:
        return verifier.verify(site.pairs, pending=pending, progress=progress)


def compare_and_repair(
    site: Site,
    ledger: Ledger,
    told: Callable[[Report], None],
    progress: Progress | None = None,
) -> Report:
    """Verify, copy again what differs, and verify that, until nothing does; the last report.

    Rows are copied from the owner to the side that follows. Triggers of the candidate's capture
    that are missing are made first: what they missed is then among what differs. `told` gets each
    report of differences before they are repaired. The caller holds the ledger: no mover runs
    meanwhile. Raises HandoverRefused before the tables are copied, and while a cut-over is begun.
    """
    if ledger.standing.phase != Phase.TAIL:
        raise HandoverRefused(
            f"{site.move.name} is {ledger.standing.phase}: only tables that are copied can be "
            f"repaired; run `strangler data start {site.move.name} --until-caught-up`"
        )
    owned = read_ownership(ownership_beside(ledger.path))
    if owned.intent:
        raise HandoverRefused(
            f"a cut-over of {site.move.name} was begun and did not end: run `strangler data start "
            f"{site.move.name}`, which settles it"
        )
    claim_both(site.source, site.target, site.move.name, CLAIM_S)
    if owned.owner == Owner.CANDIDATE:
        site = site.owned_by(owned.owner)
        site.capture.install()
    tail = parts.tail(site.move.name, site.pairs, site.capture, site.source, site.target)
    source, target = site.ends.source, site.ends.target
    limits = Limits(listed=_REPAIRED_AT_ONCE)
    pending = parts.waiting(site.capture, site.source)

    def drain() -> None:
        for _ in range(_STEPS):
            if not tail.step().more:
                return

    drain()
    for _ in range(_ROUNDS):
        with parts.verifier(site.pairs, source, target, limits) as verifier:
            found = verifier.verify(site.pairs, pending=pending, tail=drain, progress=progress)
        if found.agrees:
            return found
        told(found)
        after = parts.repair(
            found, site.pairs, source, target, tail, mover=site.move.name, limits=limits,
            pending=pending, tail=drain,
        )  # fmt: skip
        hidden = found.total > len(found.differences) or not found.complete
        if after.total or not hidden:
            # The whole was read once; what differed was put right, or could not be.
            return replace(after, rows=found.rows, table_rows=found.table_rows)
    return found
