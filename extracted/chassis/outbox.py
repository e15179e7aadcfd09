"""Events recorded in the transaction of what they tell of: both are there, or neither.

Record an event after the row that it tells of was written: the row's lock then puts the events of
one key into the order in which their transactions commit. The relay sends them from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
    select,
)
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Session

from extracted.chassis.events.envelope import Event, read
from extracted.chassis.events.origin import with_origin
from extracted.chassis.events.payloads import Payload

_WAKES = "outbox_wakes"
# No less: moments are kept, and rounded, to the millisecond.
A_MOMENT = timedelta(milliseconds=1)


def outbox_table(metadata: MetaData) -> Table:
    """The table, for a service's own metadata; docs/services.md has it for its migration.

    `sent_ms` is null while the event waits. Times are milliseconds since 1970, UTC.
    """
    exact = String(200).with_variant(
        mysql.VARCHAR(200, collation="utf8mb4_bin"), "mysql", "mariadb"
    )
    return Table(
        "outbox",
        metadata,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("event_id", String(36), nullable=False, unique=True),
        Column("type", String(100), nullable=False),
        Column("order_key", exact, nullable=False),
        Column("body", Text, nullable=False),
        Column("mandatory", Integer, nullable=False),
        Column("recorded_ms", BigInteger, nullable=False),
        Column("due_ms", BigInteger, nullable=False, server_default="0"),
        Column("sent_ms", BigInteger),
        Index("ix_outbox_sent_id", "sent_ms", "id"),
        Index("ix_outbox_key_sent_id", "order_key", "sent_ms", "id"),
        sqlite_autoincrement=True,
        mysql_charset="utf8mb4",
        mariadb_charset="utf8mb4",
    )


class Outbox:
    """Where a service records its events. For any threads; `on_commit` is called after commits."""

    def __init__(self, table: Table, on_commit: Callable[[], None] = lambda: None) -> None:
        self._table = table
        self._on_commit = on_commit

    def record(self, session: Session, event: Event[Payload]) -> None:
        """Add the event to the session's transaction, to be sent if and when that commits.

        It gets the ids of the request being served, so that what follows can be traced to it.
        Raises ValueError when the event is too large.
        """
        message = with_origin(event).message()
        session.execute(
            insert(self._table).values(
                event_id=message.id,
                type=message.topic,
                order_key=message.key,
                body=message.body.decode(),
                mandatory=int(message.mandatory),
                recorded_ms=time.time_ns() // 1_000_000,
            )
        )
        if _WAKES not in session.info:
            session.info[_WAKES] = True
            sqlalchemy_event.listen(session, "after_commit", self._committed)

    def after_last(self, session: Session, event: Event[Payload]) -> Event[Payload]:
        """The event, dated behind what was recorded last of its key and is still kept.

        Call it under the row's lock. Hosts' clocks differ, and readers go by the newest moment.
        """
        columns = self._table.c
        of_key = select(columns.body).where(columns.order_key == event.key)
        last = session.scalar(of_key.order_by(columns.id.desc()).limit(1))
        if last is None:
            return event
        return replace(
            event, occurred_at=max(event.occurred_at, read(last.encode()).occurred_at + A_MOMENT)
        )

    def _committed(self, _session: Any) -> None:
        self._on_commit()
