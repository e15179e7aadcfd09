"""Which rows have captured changes that still wait: what explains a difference for now."""

from collections.abc import Callable, Collection
from contextlib import closing

from strangler_proxy.handover.databases import conversion
from strangler_proxy.handover.databases.keys import decode
from strangler_proxy.handover.databases.port import Pair, Row, Session
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.ports import CapturePort

_BATCH = 1_000


def waiting_keys(
    capture: CapturePort, session: Session
) -> Callable[[Pair, Collection[Row]], Collection[Row]]:
    """What tells which of these neutral keys of a table have entries now; see verify.Pending.

    It reads all the table's entries, as they are spelled there: one key may have several spellings.
    HandoverRefused when the table was truncated.
    """

    def waiting(pair: Pair, wanted: Collection[Row]) -> Collection[Row]:
        name, neutral = str(pair.source.table.name), _neutral(session, pair)
        mark, asked, found = session.dialect.placeholder, set(wanted), set[Row]()
        sql = f"SELECT row_key FROM {capture.changes} WHERE tbl = {mark}"  # noqa: S608
        with session.snapshot(), closing(session.stream(sql, (name,), _BATCH)) as batches:
            for batch in batches:
                if any(key is None for (key,) in batch):
                    raise HandoverRefused(f"{name} was truncated: start its move again")
                found.update(asked.intersection(neutral([decode(key) for (key,) in batch])))
        return found

    return waiting


def _neutral(session: Session, pair: Pair) -> conversion.RowConvert:
    return conversion.reading(session.dialect, pair.source.key_cells)
