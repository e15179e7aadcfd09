"""Take away what a move made inside the databases; the rows that it moved stay.

The checkpoint goes first: without it a move copies everything anew, whereas a checkpoint that
outlived its capture would speak for rows whose changes nobody had seen. A fence goes before the
capture of its side, whose mark of the mover its triggers look at in SQLite. It works also where the
tables were altered or are gone, which is when it is wanted.

Only while the control owns the tables: afterwards its fence alone keeps the old tables from taking
writes beside the new ones, and who wants to be rid of it rolls back, or retires the move.
"""

from contextlib import closing

from strangler_proxy.handover import parts
from strangler_proxy.handover.claiming import claim_both
from strangler_proxy.handover.databases.port import Database, Session, Side, Table, TableName
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.fence import Standing as FenceStanding
from strangler_proxy.handover.ledger import Ledger
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.ownership import ownership_beside, read_ownership
from strangler_proxy.handover.site import Ends
from strangler_proxy.handover.standing import Phase, RecordKind, Standing
from strangler_proxy.handover.way import Owner


def remove(move: Move, ends: Ends, ledger: Ledger) -> None:
    """Leave nothing of the move at either side; killed in between, it is run again.

    Raises HandoverRefused when the variables name other databases than the move was begun with or
    the candidate owns the tables, Claimed when a mover is at work, LockBusy when writers keep a
    table, DatabaseUnreachable.
    """
    standing = ledger.standing
    _refuse_another(move, ends, standing)
    _refuse_handed_over(move, ledger)
    with closing(ends.source.session()) as source, closing(ends.target.session()) as target:
        claim_both(source, target, move.name, 0.0)
        home, target_home = homes(move, standing, source, target)
        _refuse_shut(move, ends.source, home, source, standing)
        ledger.record(RecordKind.REMOVING)
        parts.drop_checkpoint(move.name, target)
        clear(ends.source, move.name, home)
        clear(ends.target, move.name, target_home)
        ledger.record(RecordKind.REMOVED)


def clear(database: Database, move: str, home: str | None) -> None:
    """Take the fence and the capture of one side away; its writers pass."""
    parts.fence(database, move, [somewhere(home)]).remove()
    parts.capture(database, move, [somewhere(home)]).remove()


def homes(
    move: Move, standing: Standing, source: Session, target: Session
) -> tuple[str | None, str | None]:
    """The schemas that hold what the move made, at the source and at the target."""
    begun = standing.begun
    sources = [each.source for each in move.tables]
    targets = [each.target for each in move.tables]
    home = begun.home if begun else _schema(sources, source)
    return home, (begun.target_home if begun else None) or _schema(targets, target)


def _refuse_handed_over(move: Move, ledger: Ledger) -> None:
    phase = ledger.standing.phase
    if phase in (Phase.RETIREMENT, Phase.RETIRED):
        raise HandoverRefused(
            f"{move.name} is {phase}: `strangler data retire {move.name}` takes away what is left"
        )
    owned = read_ownership(ownership_beside(ledger.path))
    if owned.intent:
        raise HandoverRefused(
            f"a cut-over of {move.name} was begun and did not end: run `strangler data start "
            f"{move.name}`, which settles it"
        )
    if owned.owner == Owner.CANDIDATE:
        raise HandoverRefused(_handed_over(move.name))


def _handed_over(name: str) -> str:
    return (
        f"the candidate owns the tables of {name}: without its fence the old tables would take "
        f"writes again. Run `strangler data rollback {name}` first, or `strangler data retire "
        f"{name}` to leave them behind"
    )


def _refuse_shut(
    move: Move, database: Database, home: str | None, source: Session, standing: Standing
) -> None:
    """Also where the files are lost: the fence itself says that others own the tables."""
    if standing.phase == Phase.REMOVAL:
        return  # half of the fence may be gone
    state = parts.fence(database, move.name, [somewhere(home)]).state(source)
    if state.standing == FenceStanding.SHUT:
        raise HandoverRefused(_handed_over(move.name))


def _refuse_another(move: Move, ends: Ends, standing: Standing) -> None:
    if standing.begun is None:
        return
    sides = (
        (move.source_env, standing.begun.source, ends.source.shown),
        (move.target_env, standing.begun.target, ends.target.shown),
    )
    reasons = [
        f"{variable} names {now}; {move.name} was begun with {before}, where its triggers or "
        "tables would stay: set it to that"
        for variable, before, now in sides
        if before != now
    ]
    if reasons:
        raise HandoverRefused(reasons)


def _schema(tables: list[TableName], session: Session) -> str | None:
    """That of any table that is still there."""
    for table in tables:
        try:
            return session.describe(table).name.schema
        except HandoverRefused:
            continue
    return None


def somewhere(home: str | None) -> Side:
    """What is there is taken away by its names: only the schema counts."""
    return Side(Table(TableName(home, ""), (), ()), (), ())
