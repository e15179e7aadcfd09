"""Who made the entries that were forgotten, in a table beside the change table.

The law: an entry is counted in the transaction that forgets it, so it is counted once, wherever the
mover is killed. At most MOST writers have a row; what more of them change is counted for `others`.
Only the mover writes here. SQLite does not tell who writes, and has no such table.
"""

from collections.abc import Sequence

from strangler_proxy.handover.databases.port import Dialect, Session, TableName
from strangler_proxy.handover.naming import writers_table
from strangler_proxy.handover.writers import OTHERS, Writer

MOST = 1_000


class WriterLog:
    """The writers of one move at one database, in the schema `home`."""

    def __init__(self, dialect: Dialect, move: str, home: str | None, most: int = MOST) -> None:
        self._table = dialect.table(TableName(home, writers_table(move)))
        self._most = most

    def add(self, session: Session, writers: Sequence[Writer]) -> None:
        """Count these too. To be called inside a transaction."""
        for writer in writers:
            if self._added(session, writer.name, writer):
                continue
            full = session.scalar(f"SELECT count(*) FROM {self._table}") >= self._most - 1  # noqa: S608
            if full and self._added(session, OTHERS, writer):
                continue
            self._insert(session, OTHERS if full else writer.name, writer)

    def rows(self, session: Session) -> list[tuple[str, int, float, float]]:
        """(writer, changes, first, last) of each."""
        return session.rows(
            f"SELECT writer, changes, first_seen, last_seen FROM {self._table}"  # noqa: S608
        )

    def _added(self, session: Session, name: str, writer: Writer) -> bool:
        mark = session.dialect.placeholder
        sql = (
            f"UPDATE {self._table} SET changes = changes + {mark}, "  # noqa: S608
            f"first_seen = LEAST(first_seen, {mark}), last_seen = GREATEST(last_seen, {mark}) "
            f"WHERE writer = {mark}"
        )
        return session.execute(sql, (writer.changes, writer.first_at, writer.last_at, name)) > 0

    def _insert(self, session: Session, name: str, writer: Writer) -> None:
        marks = ", ".join([session.dialect.placeholder] * 4)
        session.execute(
            f"INSERT INTO {self._table} (writer, changes, first_seen, last_seen) VALUES ({marks})",  # noqa: S608
            (name, writer.changes, writer.first_at, writer.last_at),
        )
