"""Take away what a move made inside the databases; the rows that it moved stay.

The checkpoint goes first: without it a move copies everything anew, whereas a checkpoint that
outlived its capture would speak for rows whose changes nobody had seen. It works also where the
tables were altered or are gone, which is when it is wanted.
"""

from contextlib import closing

from strangler_proxy.handover.capture import Capture
from strangler_proxy.handover.databases.port import Session, Side, Table, TableName
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.ledger import Ledger
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.naming import checkpoint_table
from strangler_proxy.handover.site import Ends, claims
from strangler_proxy.handover.standing import RecordKind, Standing


def remove(move: Move, ends: Ends, ledger: Ledger) -> None:
    """Leave nothing of the move at either side; killed in between, it is run again.

    Raises HandoverRefused when the variables name other databases than the move was begun with,
    Claimed when a mover is at work, LockBusy when writers keep a table, DatabaseUnreachable.
    """
    standing = ledger.standing
    _refuse_another(move, ends, standing)
    with closing(ends.source.session()) as source, closing(ends.target.session()) as target:
        for claim in claims(source, target, move):
            claim()
        home = standing.begun.home if standing.begun else _home(move, source)
        ledger.record(RecordKind.REMOVING)
        checkpoint = target.dialect.table(TableName(None, checkpoint_table(move.name)))
        target.execute(f"DROP TABLE IF EXISTS {checkpoint}")
        Capture(ends.source, move.name, [_somewhere(home)]).remove()
        ledger.record(RecordKind.REMOVED)


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


def _home(move: Move, source: Session) -> str | None:
    """The schema that capture works in, by any table that is still there."""
    for declared in move.tables:
        try:
            return source.describe(declared.source).name.schema
        except HandoverRefused:
            continue
    return None


def _somewhere(home: str | None) -> Side:
    """Capture is taken away by its names: only the schema counts."""
    return Side(Table(TableName(home, ""), (), ()), (), ())
