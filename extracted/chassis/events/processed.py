"""Which events a consumer has handled, so that one which is delivered again has no second effect.

Two ways. A handler whose effect is in a database notes the event in the same transaction, with
`first_time`: exactly one effect, whatever is killed. One whose effect is elsewhere, like a mail,
leaves it to `consume`, which notes the event after the effect: killed between the two, or slower
than the broker's lease, it has the effect twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Insert,
    MetaData,
    Select,
    String,
    Table,
    create_engine,
    delete,
    event,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from extracted.chassis.events.consuming import NotNowError

# Longer than any event is on its way: retries take hours, and dead letters are replayed in days.
KEEP_S = 30 * 24 * 3600.0
FORGET_EVERY_S = 600.0
FORGET_AT_ONCE = 1000


def processed_table(metadata: MetaData) -> Table:
    """The table, for a service's own metadata. Its migration makes the same."""
    return Table(
        "processed_events",
        metadata,
        Column("consumer", String(60), primary_key=True),
        Column("event_id", String(36), primary_key=True),
        Column("handled_ms", BigInteger, nullable=False, index=True),
    )


class Processed:
    """The events that `consumer` has handled in the last `keep_s` seconds. For any threads."""

    def __init__(
        self,
        engine: Engine,
        table: Table,
        consumer: str,
        *,
        keep_s: float = KEEP_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._table = table
        self._consumer = consumer
        self._keep_s = keep_s
        self._clock = clock
        self._forgotten_at = 0.0

    @classmethod
    def in_file(cls, path: Path, consumer: str) -> Processed:
        """In a SQLite file of its own, for a consumer without a database."""
        engine = create_engine(f"sqlite:///{path}", hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        metadata = MetaData()
        table = processed_table(metadata)
        metadata.create_all(engine)
        return cls(engine, table, consumer)

    def has(self, event_id: str) -> bool:
        """Whether it is handled. Raises NotNowError while the database is away."""
        try:
            with self._engine.connect() as connection:
                return connection.execute(self._found(event_id)).first() is not None
        except SQLAlchemyError as error:
            raise NotNowError(f"It cannot be looked up what was handled: {error}") from error

    def add(self, event_id: str) -> None:
        """Note that it is handled. Raises NotNowError while the database is away."""
        try:
            with self._engine.begin() as connection:
                connection.execute(self._note(event_id))
            self._forget()
        except IntegrityError:
            return  # noted already
        except SQLAlchemyError as error:
            raise NotNowError(f"It cannot be noted what was handled: {error}") from error

    def first_time(self, session: Session, event_id: str) -> bool:
        """Note it in the caller's transaction; False when it is handled already.

        Of two at the same moment one fails at its commit or before, with SQLAlchemy's
        IntegrityError, and finds it handled when it is tried again.
        """
        if session.execute(self._found(event_id)).first() is not None:
            return False
        session.execute(self._note(event_id))
        return True

    def close(self) -> None:
        """Let go of connections."""
        self._engine.dispose()

    def _found(self, event_id: str) -> Select[tuple[str]]:
        columns = self._table.c
        return select(columns.event_id).where(
            columns.consumer == self._consumer, columns.event_id == event_id
        )

    def _note(self, event_id: str) -> Insert:
        now_ms = round(self._clock() * 1000)
        return insert(self._table).values(
            consumer=self._consumer, event_id=event_id, handled_ms=now_ms
        )

    def _forget(self) -> None:
        """Now and then, some of what is too old: enough to keep up, little enough for a moment."""
        now = self._clock()
        if now - self._forgotten_at < FORGET_EVERY_S:
            return
        self._forgotten_at = now
        columns = self._table.c
        before_ms = round((now - self._keep_s) * 1000)
        own = columns.consumer == self._consumer
        old = select(columns.event_id).where(own, columns.handled_ms < before_ms)
        with self._engine.begin() as connection:
            ids = connection.scalars(old.order_by(columns.handled_ms).limit(FORGET_AT_ONCE)).all()
            connection.execute(delete(self._table).where(own, columns.event_id.in_(ids)))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA busy_timeout = 10000")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
