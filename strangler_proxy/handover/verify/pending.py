"""Which rows have changes that wait, asked of the move's own change table."""

from collections.abc import Collection

from strangler_proxy.handover.capture import Capture
from strangler_proxy.handover.databases.conversion import reading
from strangler_proxy.handover.databases.port import Pair, Row, Session
from strangler_proxy.handover.verify.recheck import Pending

_MOST = 50_000


def pending_in(capture: Capture, source: Session, most: int = _MOST) -> Pending:
    """What tells of rows with entries; where more than `most` wait, every row counts as one.

    The session is asked from the thread that verifies. Raises HandoverRefused, when it is asked,
    for a table that was truncated.
    """

    def pending(pair: Pair, keys: Collection[Row]) -> Collection[Row]:
        entries = capture.entries(source, most + 1)
        if len(entries) > most:
            return keys
        name = str(pair.source.table.name)
        raw_keys = [entry.key for entry in entries if entry.table == name]
        return set(reading(source.dialect, pair.source.key_cells)(raw_keys))

    return pending
