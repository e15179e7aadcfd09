"""What a move is begun with, and that whoever goes on with it has the same."""

from strangler_proxy.handover import fingerprint
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.ledger import Ledger
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.site import (
    Ends,
    Site,
    changes_there,
    checkpoint_there,
    declared,
    open_site,
)
from strangler_proxy.handover.standing import Begun, Phase, RecordKind, Standing


def begin(site: Site, ledger: Ledger) -> None:
    """Begin the move, or see that it is still the one that was begun.

    Raises HandoverRefused where it is not, where its end was begun, or where the databases hold
    what nobody knows of.
    """
    standing = ledger.standing
    refuse_ended(site.move.name, standing)
    if standing.begun is None:
        _refuse_leftovers(site, str(ledger.path))
        ledger.record(RecordKind.BEGUN, **_begun(site))
    else:
        refuse_another(standing.begun, site.move, site.ends, str(ledger.path))


def refuse_ended(move: str, standing: Standing) -> None:
    """HandoverRefused where the move is being taken away, or has been retired."""
    sentences = {
        Phase.REMOVAL: f"the removal of {move} was begun and did not end: run "
        f"`strangler data remove {move}` again",
        Phase.RETIREMENT: f"the retirement of {move} was begun and did not end: run "
        f"`strangler data retire {move}` again",
        Phase.RETIRED: f"{move} is retired: its tables are the candidate's, and there is no way "
        "back any more",
    }
    if standing.phase in sentences:
        raise HandoverRefused(sentences[standing.phase])


def refuse_another(begun: Begun, move: Move, ends: Ends, ledger: str) -> None:
    """HandoverRefused where the move, or a database of it, is not what it was begun with."""
    now = (declared(move), ends.source.shown, ends.target.shown)
    names = ("its tables in the file of moves", move.source_env, move.target_env)
    then = (begun.declared, begun.source, begun.target)
    reasons = [
        f"{name} changed since {move.name} was begun at {begun.at} ({ledger}): put it back, "
        f"or run `strangler data remove {move.name}` first"
        for name, before, after in zip(names, then, now, strict=True)
        if before != after
    ]
    if reasons:
        raise HandoverRefused(reasons)


def _begun(site: Site) -> dict[str, str | None]:
    """What later runs must find again; taken of tables that are not altered meanwhile."""
    taken = fingerprint.take(site.pairs, site.source, site.target)
    with open_site(site.move, site.ends) as again:
        if again.pairs != site.pairs:
            raise HandoverRefused("a table was altered at this very moment: run it again")
    return {
        "declared": declared(site.move),
        "source": site.ends.source.shown,
        "target": site.ends.target.shown,
        "fingerprint": taken,
        "home": site.home,
        "target_home": site.pairs[0].target.table.name.schema,
    }


def _refuse_leftovers(site: Site, ledger: str) -> None:
    """Without its ledger, nobody knows whether all changes since then were captured."""
    name = site.move.name
    if changes_there(site.source, site.move, site.home) or checkpoint_there(site.target, site.move):
        raise HandoverRefused(
            f"the databases hold what an earlier run of {name} made, and {ledger} does not know "
            f"of it: put that ledger back, or run `strangler data remove {name}` and begin again"
        )
