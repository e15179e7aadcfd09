"""Record which rows of the moved tables change, in the transactions that change them.

Triggers put a changed row's key into a change table. When `install` returns, every transaction that
commits from then on has its entries there, also one that began before: whatever had written a
table without its trigger had ended before the trigger was made. So a snapshot that begins later,
together with the entries, misses nothing.

How triggers are made while writers are at work: installing.py. Killed in between, `install` and
`remove` are run again.

An entry also tells who made it, where the database knows (writers.py). What they say is kept when
entries are forgotten.

What capture cannot see: TRUNCATE and ALTER on MySQL (fingerprint.py shows them), triggers that
somebody drops or switches off (`missing` shows them), and writes of a role that is a superuser and
sets the mover's mark.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from strangler_proxy.handover.databases.keys import decode
from strangler_proxy.handover.databases.mysql.capture import MysqlCapture
from strangler_proxy.handover.databases.port import Database, Row, Session, Side
from strangler_proxy.handover.databases.postgresql.capture import PostgresqlCapture
from strangler_proxy.handover.databases.sqlite.capture import SqliteCapture
from strangler_proxy.handover.databases.triggers import CaptureSql, Installed, Trigger
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.installing import PATIENCE, Installer, Lack, Patience, lacking
from strangler_proxy.handover.naming import change_table
from strangler_proxy.handover.writer_log import WriterLog
from strangler_proxy.handover.writers import Writer, tallied

__all__ = ["PATIENCE", "Backlog", "Capture", "Entry", "Patience"]

_SQL: dict[str, CaptureSql] = {
    "sqlite": SqliteCapture(),
    "postgresql": PostgresqlCapture(),
    "mysql": MysqlCapture(),
}
_DELETED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """One change: its number, the source table's name, and the raw key of the row."""

    id: Any
    table: str
    key: Row


@dataclass(frozen=True, slots=True)
class Backlog:
    """Changes that wait: how many, and when the oldest was made (seconds since 1970)."""

    entries: int
    oldest_at: float | None


class Capture:
    """One move's capture at one database; `sides` are its tables there, all of them."""

    def __init__(self, database: Database, move: str, sides: Sequence[Side]) -> None:
        self._database = database
        self._move = move
        self._sides = tuple(sides)
        self._home = sides[0].table.name.schema
        self._sql = _SQL[database.kind]
        prefix = f"{database.dialect.quote(self._home)}." if self._home else ""
        self.changes = prefix + database.dialect.quote(change_table(move))
        """The change table's name in SQL."""
        self._log = WriterLog(database.dialect, move, self._home)
        self._noting = False

    def install(
        self,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make what is missing, and drop triggers of an earlier definition.

        Raises LockBusy when writers keep a table all the time, HandoverRefused for tables whose
        changes no trigger could see.
        """
        with closing(self._database.session(statement_s=patience.lock_s)) as session:
            installer = Installer(session, self._sql.transactional, patience, clock, pause)
            installer.run(self._sql.tables(self._move, self._home))
            self._upgrade(session, installer)
            installer.fit(self._wanted(session), self._installed)

    def upgrade(
        self,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Have a capture that an earlier version made note who writes; it misses nothing meanwhile.

        Another stays as it is. Raises LockBusy when writers keep the change table all the time.
        """
        with closing(self._database.session(statement_s=patience.lock_s)) as session:
            installer = Installer(session, self._sql.transactional, patience, clock, pause)
            self._upgrade(session, installer)

    def remove(
        self,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Leave nothing of this capture, with the entries that still wait."""
        with closing(self._database.session(statement_s=patience.lock_s)) as session:
            installer = Installer(session, self._sql.transactional, patience, clock, pause)
            installer.drop(self._installed(session))
            # Last: a trigger without its table would fail the writers.
            installer.run(self._sql.drop_tables(session, self._move, self._home))

    def missing(self, session: Session) -> tuple[str, ...]:
        """Triggers that are not there or do not fire for everybody, as sentences."""
        return tuple(map(str, self.lacking(session)))

    def lacking(self, session: Session) -> tuple[Lack, ...]:
        """The same triggers, as values."""
        return lacking(self._wanted(session), self._installed(session))

    def entries(self, session: Session, most: int) -> list[Entry]:
        """Changes that wait, lowest numbers first: not after any number, for low ones come late.

        Raises HandoverRefused at a poison entry: a table was truncated.
        """
        rows = session.rows(
            f"SELECT id, tbl, row_key FROM {self.changes} ORDER BY id LIMIT {most:d}"  # noqa: S608
        )
        emptied = sorted({table for _, table, key in rows if key is None})
        if emptied:
            raise HandoverRefused(
                f"{table} was truncated, which names no rows: start its move again"
                for table in emptied
            )
        return [Entry(number, table, decode(key)) for number, table, key in rows]

    def forget(self, session: Session, entries: Sequence[Entry]) -> None:
        """Delete exactly these entries, and keep who made them.

        Never again without reading anew: a number may be given again once it is free. Raises
        HandoverRefused where an earlier version made the change table, which `upgrade` is for.
        """
        mark, writers = session.dialect.placeholder, list[Row]()
        notes = self.notes_writers(session)
        if self._sql.tells_writers and not notes:
            raise HandoverRefused(
                f"{self.changes} was made by a version that did not note who writes: run "
                f"`strangler data start {self._move}`, which adds that"
            )
        with session.transaction():
            for start in range(0, len(entries), _DELETED_AT_ONCE):
                some = [entry.id for entry in entries[start : start + _DELETED_AT_ONCE]]
                these = f"id IN ({', '.join([mark] * len(some))})"
                if notes:
                    writers += self._made(session, f"WHERE {these}", some)
                session.execute(f"DELETE FROM {self.changes} WHERE {these}", some)  # noqa: S608
            self._log.add(session, tallied(writers))

    def enter(self, session: Session, table: str, key: str) -> None:
        """Add a key, as keys.encode writes it, that nobody has changed."""
        columns, mark = "tbl, row_key", session.dialect.placeholder
        values = f"{mark}, {mark}"
        if self.notes_writers(session):
            columns, values = f"{columns}, writer", f"{values}, NULL"
        session.execute(
            f"INSERT INTO {self.changes} ({columns}) VALUES ({values})",  # noqa: S608
            (table, key),
        )

    def notes_writers(self, session: Session) -> bool:
        """Whether entries tell who made them."""
        if not self._noting and self._sql.tells_writers:
            self._noting = not self._sql.add_writers(session, self._move, self._home)
        return self._noting

    def writers(self, session: Session) -> list[Writer]:
        """Who has made entries since it was installed, those that wait included."""
        if not self.notes_writers(session):
            return []
        with session.snapshot():  # a tail may be at work, and counts what it forgets
            return tallied([*self._log.rows(session), *self._made(session, "", ())])

    def makers(self, session: Session, most: int) -> dict[Any, tuple[str, str | None]]:
        """So many of the entries that wait, by number: the table, and who made them."""
        writer = "writer" if self.notes_writers(session) else "NULL"
        rows = session.rows(f"SELECT id, tbl, {writer} FROM {self.changes} LIMIT {most:d}")  # noqa: S608
        return {number: (table, name) for number, table, name in rows}

    def backlog(self, session: Session) -> Backlog:
        """How much waits."""
        ((entries, oldest),) = session.rows(f"SELECT count(*), min(at) FROM {self.changes}")  # noqa: S608
        return Backlog(entries, oldest)

    def _made(self, session: Session, where: str, parameters: Sequence[Any]) -> list[Row]:
        return session.rows(
            f"SELECT writer, count(*), min(at), max(at) FROM {self.changes} {where} "  # noqa: S608
            "GROUP BY writer",
            parameters,
        )

    def _upgrade(self, session: Session, installer: Installer) -> None:
        # Asked anew at each try: what a try before has done is not done again.
        def add() -> None:
            installer.once(self._sql.add_writers(session, self._move, self._home))

        installer.retry(add)

    def _wanted(self, session: Session) -> Sequence[Trigger]:
        return self._sql.triggers(session, self._move, self._home, self._sides)

    def _installed(self, session: Session) -> Sequence[Installed]:
        return self._sql.installed(session, self._move, self._home)
