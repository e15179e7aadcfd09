"""Capture on tables of integers, and what waits in it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from strangler_proxy.handover.capture import Capture, Patience
from strangler_proxy.handover.databases.port import Kind, Session, Side, TableName
from tests.integration.handover.conftest import Place
from tests.integration.handover.tables import side_of

Make = Callable[[str], Place]
MOVE = "posts"
QUICK = Patience(lock_s=1.0, pause_s=0.01, whole_s=30.0)
T = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER)"


def side(session: Session, table_name: str, /, **kinds: Kind) -> Side:
    table = session.describe(TableName(None, table_name))
    every = {column.name: kinds.get(column.name, Kind.INTEGER) for column in table.columns}
    return side_of(session, table, every, table.primary_key)


def captured(here: Place, *names: str) -> Capture:
    """Capture installed on these tables of integers."""
    session = here.session()
    capture = Capture(here.database, MOVE, [side(session, name) for name in names])
    capture.install(QUICK)
    return capture


def keys(here: Place, capture: Capture) -> list[tuple[str, tuple[Any, ...]]]:
    """What waits, by number."""
    with closing(here.database.session(MOVE)) as session:
        return [
            (entry.table.rpartition(".")[2], entry.key)
            for entry in capture.entries(session, 1_000_000)
        ]
