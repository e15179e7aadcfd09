"""What the relay asks of an outbox, and how the three SQL databases do it.

Nobody keeps a high-water mark: what is to be sent is what is not marked as sent, so that a low id
that commits late is found like any other. Whoever claims events claims their keys: a key's first
unsent event is locked, and with it all behind it. So relays side by side never send one key at the
same time; and if one that was thought dead does so after all, each still sends a key's events from
the first unsent one on, and their first arrivals are in order.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import (
    Connection,
    Engine,
    Row,
    Select,
    Table,
    delete,
    exists,
    func,
    select,
    update,
)

from extracted.chassis.events.port import Message

PURGE_AT_ONCE = 1000
LOOK_AGAIN_S, GIVE_UP_S = 0.05, 60.0
# With a stricter level MySQL would lock the gaps that others insert into.
LOCKS_ROWS_ALONE = "READ COMMITTED"
COUNTED_AT_MOST = 100_000


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event that waits to be sent; `place` is its identity in the outbox."""

    place: Any
    message: Message


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many events wait (100,000 may be more), and for how long the oldest has, in seconds."""

    events: int
    oldest_s: float


class Claim(Protocol):
    """Events that nobody else sends until the claim ends, in the order of each key."""

    @property
    def events(self) -> Sequence[Recorded]:
        """What is to be sent now."""
        ...

    def settle(self, sent: Collection[Any], postponed: Collection[Any], delay_s: float) -> None:
        """Mark these places as sent; let those, and what is behind them, wait for so long."""
        ...


class OutboxStore(Protocol):
    """An outbox, whatever database it is in; the relay catches what its methods raise."""

    def claim(self, limit: int) -> AbstractContextManager[Claim]:
        """Claim up to `limit` events, or none while somebody else has the claim.

        What was settled lasts when the block ends without error. A claim ends with its process.
        """
        ...

    def backlog(self) -> Backlog:
        """What waits to be sent."""
        ...

    def purge(self, keep_s: float) -> int:
        """Throw away up to a thousand events that were sent longer ago than this; their number."""
        ...


class SqlOutbox:
    """An outbox table in PostgreSQL, MySQL 8, MariaDB 10.6 or SQLite.

    The servers lock the keys' first rows for as long as the events are being sent; inserts are not
    held up. In SQLite a lock of that length would stop the service's writes, so a lock file beside
    the database, which the system frees when its process ends, lets one relay work at a time. The
    engine stays its owner's to dispose of.
    """

    def __init__(
        self, engine: Engine, table: Table, clock: Callable[[], float] = time.time
    ) -> None:
        self._engine = engine
        self._table = table
        self._clock = clock

    def claim(self, limit: int) -> AbstractContextManager[Claim]:
        """See `OutboxStore`."""
        if self._engine.dialect.name == "sqlite":
            return self._claim_alone(limit)
        return self._claim_keys(limit)

    def backlog(self) -> Backlog:
        """See `OutboxStore`."""
        columns = self._table.c
        waiting = select(columns.recorded_ms).where(columns.sent_ms.is_(None))
        some = waiting.limit(COUNTED_AT_MOST).subquery()
        with self._engine.connect() as connection:
            events = connection.scalar(select(func.count()).select_from(some)) or 0
            oldest_ms = connection.scalar(waiting.order_by(columns.id).limit(1))
        oldest_s = 0.0 if oldest_ms is None else self._clock() - oldest_ms / 1000
        return Backlog(events, max(0.0, oldest_s))

    def purge(self, keep_s: float) -> int:
        """See `OutboxStore`."""
        columns = self._table.c
        old = select(columns.id).where(columns.sent_ms < self._ms(-keep_s))
        with self._engine.begin() as connection:
            # MySQL takes no LIMIT in a subquery of IN.
            places = connection.scalars(old.order_by(columns.sent_ms).limit(PURGE_AT_ONCE)).all()
            if places:
                connection.execute(delete(self._table).where(columns.id.in_(places)))
        return len(places)

    def forget(self) -> int:
        """Throw away all that waits to be sent now; the number of them. Safe to repeat.

        What a relay has in hand is waited for: when this returns, it is sent or thrown away. Raises
        what the database raises, and TimeoutError where a relay does not let go within a minute.
        """
        if self._engine.dialect.name != "sqlite":
            return self._forget(self._engine.execution_options(isolation_level=LOCKS_ROWS_ALONE))
        give_up = time.monotonic() + GIVE_UP_S
        while time.monotonic() < give_up:
            with _locked(self._engine.url.database) as mine:
                if mine:
                    return self._forget(self._engine)
            time.sleep(LOOK_AGAIN_S)
        raise TimeoutError(f"a relay has been sending for {GIVE_UP_S:g} s: stop it first")

    def _forget(self, engine: Engine) -> int:
        columns, forgotten = self._table.c, 0
        unsent = select(columns.id).where(columns.sent_ms.is_(None))
        with engine.connect() as connection:
            places = connection.scalars(unsent.order_by(columns.id)).all()
        # By primary key alone, as in `_lock`: a deletion by both would search the other index too.
        locked = unsent.with_for_update()
        for dialect in ("mysql", "mariadb"):
            locked = locked.with_hint(self._table, "FORCE INDEX (PRIMARY)", dialect)
        for start in range(0, len(places), PURGE_AT_ONCE):
            these = columns.id.in_(places[start : start + PURGE_AT_ONCE])
            with engine.begin() as connection:
                mine = connection.scalars(locked.where(these)).all()
                connection.execute(delete(self._table).where(columns.id.in_(mine)))
            forgotten += len(mine)
        return forgotten

    @contextmanager
    def _claim_keys(self, limit: int) -> Iterator[Claim]:
        with (
            self._engine.connect().execution_options(
                isolation_level=LOCKS_ROWS_ALONE
            ) as connection,
            connection.begin(),
        ):
            keys = self._lock(connection, connection.execute(self._heads(limit)).all())
            yield _SqlClaim(self, connection, self._behind(connection, keys, limit))

    @contextmanager
    def _claim_alone(self, limit: int) -> Iterator[Claim]:
        with _locked(self._engine.url.database) as mine:
            events: Sequence[Recorded] = ()
            if mine:
                with self._engine.connect() as connection:
                    keys = [head.order_key for head in connection.execute(self._heads(limit))]
                    events = self._behind(connection, keys, limit)
            yield _SqlClaim(self, None, events)

    def _heads(self, limit: int) -> Select[Any]:
        """The first unsent event of each key, where its time has come."""
        this, earlier = self._table, self._table.alias("earlier")
        return (
            select(this.c.id, this.c.order_key)
            .where(
                this.c.sent_ms.is_(None),
                this.c.due_ms <= self._ms(),
                ~exists().where(
                    earlier.c.order_key == this.c.order_key,
                    earlier.c.sent_ms.is_(None),
                    earlier.c.id < this.c.id,
                ),
            )
            .order_by(this.c.id)
            .limit(limit)
        )

    def _lock(self, connection: Connection, heads: Sequence[Row[Any]]) -> Sequence[str]:
        """The keys of those first events that are now locked, and still wait.

        Locked by primary key alone: a search locks the entries of the index it runs along too, in
        MySQL also those that it skips, and two claims could then stop each other from settling.
        """
        columns = self._table.c
        these = select(columns.order_key).where(
            columns.id.in_([head.id for head in heads]), columns.sent_ms.is_(None)
        )
        return connection.scalars(these.with_for_update(skip_locked=True)).all() if heads else ()

    def _behind(
        self, connection: Connection, keys: Collection[str], limit: int
    ) -> Sequence[Recorded]:
        """The unsent events of these keys, in order."""
        if not keys:
            return ()
        columns = self._table.c
        unsent = select(self._table).where(columns.sent_ms.is_(None), columns.order_key.in_(keys))
        rows = connection.execute(unsent.order_by(columns.id).limit(limit))
        return [
            Recorded(
                row.id,
                Message(
                    row.event_id, row.type, row.order_key, row.body.encode(), bool(row.mandatory)
                ),
            )
            for row in rows
        ]

    def _ms(self, later_s: float = 0.0) -> int:
        return round((self._clock() + later_s) * 1000)

    def _settle(
        self,
        connection: Connection | None,
        sent: Collection[int],
        postponed: Collection[int],
        delay_s: float,
    ) -> None:
        marks = (
            (sent, {"sent_ms": self._ms()}),
            (postponed, {"due_ms": self._ms(delay_s)}),
        )
        with nullcontext(connection) if connection else self._engine.begin() as writing:
            for places, values in marks:
                if places:
                    these = update(self._table).where(self._table.c.id.in_(places))
                    writing.execute(these.values(values))


class _SqlClaim:
    def __init__(
        self, outbox: SqlOutbox, connection: Connection | None, events: Sequence[Recorded]
    ) -> None:
        self._outbox = outbox
        self._connection = connection
        self.events = events

    def settle(self, sent: Collection[Any], postponed: Collection[Any], delay_s: float) -> None:
        self._outbox._settle(self._connection, sent, postponed, delay_s)


@contextmanager
def _locked(database: str | None) -> Iterator[bool]:
    """Whether the lock beside this SQLite file is ours for the block; in memory it always is."""
    if not database or database == ":memory:":
        yield True
        return
    with Path(f"{database}.relay-lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
