"""Numbers of new documents, which MongoDB does not give: counters that a service takes them from.

In the collection `counters` stands for each moved collection {_id: <collection>, last: <number>},
for an array {_id: <collection>.<array>, ...}. Whoever makes a document raises it ($inc) and takes
what comes out; a cut-over lets it be at least the last number that the table has given.
"""

from strangler_proxy.handover import sequences
from strangler_proxy.handover.databases.mongodb.session import MongoSession
from strangler_proxy.handover.databases.mongodb.side import DocumentSide, document_side
from strangler_proxy.handover.databases.port import Cell, Kind, Pair, Session

COUNTERS, FIELD = "counters", "last"


def set_(pair: Pair, source: Session, target: Session, margin: int = 0) -> tuple[str, ...]:
    """See sequences.set_; of the two sessions one is MongoDB's."""
    side = document_side(pair)
    for cell, its in zip(pair.source.cells, pair.target.cells, strict=True):
        table = its if isinstance(source, MongoSession) else cell
        if not (table.column and table.column.identity and table.kind == Kind.INTEGER):
            continue
        if isinstance(source, MongoSession):
            given = _given(source, side, cell)
            if given is not None:
                return sequences.reach(pair.target, its, target, given, margin)
        elif isinstance(target, MongoSession):
            given = sequences.given(source, pair.source, cell)
            if given is not None:
                name = str(side.table.name)
                target.store.raise_number(COUNTERS, name, FIELD, given + margin)
    return ()


def _given(session: MongoSession, side: DocumentSide, cell: Cell) -> int | None:
    """The largest number that was given or is there."""
    path = f"{side.array}.{cell.name}" if side.array else cell.name
    counter = session.kept(COUNTERS, str(side.table.name)) or {}
    known = (counter.get(FIELD), session.store.largest(side.collection, path))
    return max((int(each) for each in known if isinstance(each, int)), default=None)
