"""Rows that the tail is to bring, because the target refused them for now."""

from collections.abc import Callable
from contextlib import closing

from strangler_proxy.handover.databases import keys
from strangler_proxy.handover.databases.port import Database, Pair, Row
from strangler_proxy.handover.ports import CapturePort


def left_to(capture: CapturePort, source: Database) -> Callable[[Pair, Row], None]:
    """What enters a row's raw key among the captured changes, as if the row had changed.

    Committed when it returns. The same key may come twice; the tail takes it once.
    """

    def enter(pair: Pair, key: Row) -> None:
        with closing(source.session()) as session:
            capture.enter(session, str(pair.source.table.name), keys.encode(key))

    return enter
