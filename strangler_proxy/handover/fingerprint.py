"""Notice that a table was altered, replaced or (on MySQL) truncated while its rows are moved.

A fingerprint is taken when a move starts, kept as JSON, and compared at every later stage. It tells
that something changed between two looks, not when. On MySQL it sees a TRUNCATE only with the right
PROCESS; without it the counts of a verify show one.
"""

import hashlib
import json
from collections.abc import Sequence

from strangler_proxy.handover.databases.port import Pair, Session, Table
from strangler_proxy.handover.faults import HandoverRefused

_DIGITS = 16


def of(session: Session, tables: Sequence[Table]) -> dict[str, str]:
    """The fingerprint of each of these tables, by its name."""
    return {str(table.name): _digest(session, table) for table in tables}


def take(pairs: Sequence[Pair], source: Session, target: Session) -> str:
    """The fingerprint of every table on both sides, as JSON."""
    found = {side: of(session, tables) for side, session, tables in _sides(pairs, source, target)}
    return json.dumps(found, sort_keys=True)


def check(before: str, pairs: Sequence[Pair], source: Session, target: Session) -> None:
    """Raise HandoverRefused, with a sentence for each table that is not as it was."""
    then, now = json.loads(before), json.loads(take(pairs, source, target))
    changed = [
        f"{table} at the {side} was altered, truncated or replaced since the move started: "
        "look at what changed, then start its move again"
        for side, tables in now.items()
        for table, digest in tables.items()
        if then.get(side, {}).get(table) != digest
    ]
    if changed:
        raise HandoverRefused(changed)


def _sides(
    pairs: Sequence[Pair], source: Session, target: Session
) -> tuple[tuple[str, Session, list[Table]], ...]:
    return (
        ("source", source, [pair.source.table for pair in pairs]),
        ("target", target, [pair.target.table for pair in pairs]),
    )


def _digest(session: Session, table: Table) -> str:
    try:
        text = session.fingerprint(table)
    except HandoverRefused as gone:  # dropped, or no table any more
        text = str(gone)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
