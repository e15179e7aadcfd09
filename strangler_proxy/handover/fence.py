"""Shut a move's tables at one database to every writer but the mover, for a moment or for good.

The law: whoever writes a fenced table looks at the fence first, under a lock shared with the other
writers and kept to the end of its transaction; whoever raises or shuts the fence has that lock
alone. So when `raise_` returns nobody who found it open is still writing, and when
`make_permanent` says yes nobody has written since without an entry that it has seen.

A fence that is up lapses at a moment by the database's own clock, so a mover that dies leaves no
table shut. That a clock is wrong or steps back does no harm: what is decided under the lock is
whether anything waits in the change table, and after that no clock is asked.

What a fence cannot see: TRUNCATE on MySQL and ALTER everywhere (fingerprint.py shows them),
triggers that somebody drops or switches off (`missing` shows them), and whoever sets the mover's
mark.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from strangler_proxy.handover.databases.fences import FenceSql, fence_table
from strangler_proxy.handover.databases.mysql.fence import MysqlFence
from strangler_proxy.handover.databases.port import Database, Session, Side, TableName
from strangler_proxy.handover.databases.postgresql.fence import PostgresqlFence
from strangler_proxy.handover.databases.sqlite.fence import SqliteFence
from strangler_proxy.handover.databases.triggers import Installed, Trigger
from strangler_proxy.handover.faults import HandoverRefused, LockBusy
from strangler_proxy.handover.installing import PATIENCE, Installer, Patience, lacking

_SQL: dict[str, FenceSql] = {
    "sqlite": SqliteFence(),
    "postgresql": PostgresqlFence(),
    "mysql": MysqlFence(),
}
_PAUSE_S = 0.02


class Standing(StrEnum):
    """What a fence says to writers; only UP and SHUT refuse them."""

    OPEN = "open"
    UP = "up"
    LAPSED = "lapsed"
    SHUT = "shut"


@dataclass(frozen=True, slots=True)
class FenceState:
    """How a fence stands, and for how long it is still UP."""

    standing: Standing
    seconds_left: float = 0.0


class Fence:
    """One move's fence at one database; `sides` are its tables there, all of them."""

    def __init__(self, database: Database, move: str, sides: Sequence[Side]) -> None:
        self._database = database
        self._move = move
        self._sides = tuple(sides)
        self._home = sides[0].table.name.schema
        self._sql = _SQL[database.kind]
        self._table = database.dialect.table(TableName(self._home, fence_table(move)))

    def install(
        self,
        *,
        shut: bool,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make what is missing; a fence that is new begins shut or open, another stays as it is.

        When it returns, every transaction that wrote without looking at the fence has ended.
        Raises LockBusy when writers keep a table all the time.
        """
        with closing(self._database.session(self._move, patience.lock_s)) as session:
            installer = Installer(session, self._sql.transactional, patience, clock, pause)
            installer.run(self._sql.tables(self._move, self._home))
            # Its first state is there before any trigger asks for it.
            installer.retry(partial(self._begin, session, Standing.SHUT if shut else Standing.OPEN))
            installer.fit(self._wanted(session), self._installed)

    def remove(
        self,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Leave nothing of this fence; whatever it said, writers pass."""
        # Not as the mover: in SQLite its mark is one of the tables that go.
        with closing(self._database.session(None, patience.lock_s)) as session:
            installer = Installer(session, self._sql.transactional, patience, clock, pause)
            installer.drop(self._installed(session))
            # Last: a trigger without its table would fail the writers.
            installer.run(self._sql.drop_tables(session, self._move, self._home))

    def missing(self, session: Session) -> tuple[str, ...]:
        """What of the fence is not there or not at work, as sentences."""
        if not self._sql.there(session, self._move, self._home):
            return (f"{self._table}: the fence is not there",)
        return tuple(map(str, lacking(self._wanted(session), self._installed(session))))

    def state(self, session: Session) -> FenceState:
        """How it stands by the database's clock; a fence that is not there is OPEN."""
        if not self._sql.there(session, self._move, self._home):
            return FenceState(Standing.OPEN)
        return self._look(session)

    def raise_(self, session: Session, seconds: float, wait_s: float = 1.0) -> None:
        """Be up until `seconds` from this call; nobody who passed before is still writing then.

        Raises LockBusy, with the fence as it was, when such a writer does not end within
        `wait_s`: those who come meanwhile wait behind it. HandoverRefused when it is shut.
        """
        started = time.monotonic()
        self._must_be_there(session)

        def set_up() -> None:
            with self._sql.alone(session, self._move, self._home, wait_s):
                if self._look(session).standing == Standing.SHUT:
                    raise HandoverRefused(f"{self._table} is shut: it cannot be put up for a time")
                now = float(session.scalar(f"SELECT {self._sql.now}"))
                # The clock was read before this moment, so it lapses rather early than late.
                left = seconds - (time.monotonic() - started)
                if left <= 0:
                    raise LockBusy(f"{self._table}: writers took all the {seconds:g} s it was for")
                self._set(session, "up", now + left)

        self._patiently(set_up, wait_s)

    def make_permanent(
        self, session: Session, pending: Callable[[Session], bool], wait_s: float = 1.0
    ) -> bool:
        """Shut for good, in one transaction, if it is still up and nothing waits; else do nothing.

        `pending` is asked with every writer kept out: whether an entry waits in the change table.
        A connection lost in the commit raises DatabaseUnreachable: then `state` tells which it was.
        """
        self._must_be_there(session)
        if self._look(session).standing != Standing.UP:
            return False
        try:
            with self._sql.alone(session, self._move, self._home, wait_s):
                if self._look(session).standing != Standing.UP or pending(session):
                    return False
                shut = session.execute(
                    f"UPDATE {self._table} SET state = 'shut' "  # noqa: S608
                    f"WHERE id = 1 AND state = 'up' AND until > {self._sql.now}"
                )
                return shut == 1
        except LockBusy:
            return False  # whoever keeps the lock has passed, so it must have lapsed

    def lift(self, session: Session, wait_s: float = 5.0) -> None:
        """Be open. LockBusy when writers who found it lapsed do not end."""
        self._must_be_there(session)

        def set_open() -> None:
            with self._sql.aside(session, self._move, self._home, min(wait_s, 1.0)):
                self._set(session, "open", 0.0)

        self._patiently(set_open, wait_s)

    def shut(self, session: Session, wait_s: float = 1.0) -> None:
        """Be shut, without asking whether anything waits; nobody who passed is writing then."""
        self._must_be_there(session)

        def set_shut() -> None:
            with self._sql.alone(session, self._move, self._home, wait_s):
                self._set(session, "shut", 0.0)

        self._patiently(set_shut, wait_s)

    def _look(self, session: Session) -> FenceState:
        found = session.rows(
            f"SELECT state, until - {self._sql.now} FROM {self._table} WHERE id = 1"  # noqa: S608
        )
        if not found:
            raise HandoverRefused(f"{self._table} has lost its row: install the fence again")
        ((state, left),) = found
        if state != "up":
            return FenceState(Standing(state))
        return FenceState(Standing.UP, float(left)) if left > 0 else FenceState(Standing.LAPSED)

    def _set(self, session: Session, state: str, until: float) -> None:
        mark = session.dialect.placeholder
        session.execute(
            f"UPDATE {self._table} SET state = {mark}, until = {mark} WHERE id = 1",  # noqa: S608
            (state, until),
        )

    def _begin(self, session: Session, standing: Standing) -> None:
        mark = session.dialect.placeholder
        with session.transaction():
            if not session.rows(f"SELECT 1 FROM {self._table}"):  # noqa: S608
                session.execute(f"INSERT INTO {self._table} VALUES (1, {mark}, 0)", (standing,))  # noqa: S608

    def _must_be_there(self, session: Session) -> None:
        if not self._sql.there(session, self._move, self._home):
            raise HandoverRefused(f"{self._table}: there is no fence to be changed")

    def _patiently(self, act: Callable[[], None], wait_s: float) -> None:
        """Again after a deadlock, which ends a wait early."""
        deadline = time.monotonic() + wait_s
        while True:
            try:
                return act()
            except LockBusy:
                if time.monotonic() + _PAUSE_S >= deadline:
                    raise
            time.sleep(_PAUSE_S)

    def _wanted(self, session: Session) -> Sequence[Trigger]:
        return self._sql.triggers(session, self._move, self._home, self._sides)

    def _installed(self, session: Session) -> Sequence[Installed]:
        return self._sql.installed(session, self._move, self._home)
