"""Outboxes in the three databases, and publishers that keep a list of what they were given."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine, MetaData, create_engine, event
from sqlalchemy.orm import Session

from extracted.chassis.events.envelope import Event, happened
from extracted.chassis.events.payloads import Payload, UserRenamed
from extracted.chassis.events.port import (
    BrokerUnavailableError,
    Message,
    Outcome,
    UnroutedError,
)
from extracted.chassis.outbox import Outbox, outbox_table
from extracted.chassis.outbox_store import SqlOutbox


def renamed(name: str, user_id: int = 7) -> Event[UserRenamed]:
    """An event of one user's key."""
    return happened(UserRenamed(user_id=user_id, name=name))


@dataclass
class Desk:
    """A service's side of an outbox: an engine of its own, and the table made."""

    url: str
    commits: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine: Engine = create_engine(self.url)
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _wal)
        self.table = outbox_table(MetaData())
        self.table.create(self.engine, checkfirst=True)
        self.outbox = Outbox(self.table, lambda: self.commits.append("commit"))
        self.store = SqlOutbox(self.engine, self.table)

    def record(self, *events: Event[Payload]) -> None:
        """In one transaction."""
        with Session(self.engine) as session, session.begin():
            for each in events:
                self.outbox.record(session, each)

    def empty(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(self.table.delete())


def _wal(connection: object, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")  # type: ignore[attr-defined]
    connection.execute("PRAGMA synchronous = NORMAL")  # type: ignore[attr-defined]


@dataclass
class ListPublisher:
    """Takes everything, unless `before` raises an outcome; for several relays at once."""

    before: Callable[[Message], None] = lambda message: None
    taken: list[Message] = field(default_factory=list)
    together: list[list[Message]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    closed: int = 0

    def publish_all(self, messages: Sequence[Message]) -> list[Outcome]:
        with self.lock:
            self.together.append(list(messages))
        return [self._take(message) for message in messages]

    def _take(self, message: Message) -> Outcome:
        try:
            self.before(message)
        except (BrokerUnavailableError, UnroutedError) as outcome:
            return outcome
        with self.lock:
            self.taken.append(message)
        return None

    def close(self) -> None:
        self.closed += 1

    def ids(self) -> list[str]:
        return [message.id for message in self.taken]
