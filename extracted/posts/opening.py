"""Which database DATABASE_URL names, and what the service has from it. Opens nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from extracted.chassis.database import Database
from extracted.chassis.events.consuming import Memory
from extracted.chassis.events.processed import Processed
from extracted.chassis.outbox import Outbox
from extracted.chassis.outbox_store import OutboxStore, SqlOutbox
from extracted.posts import tables
from extracted.posts.repository import SqlPosts
from extracted.posts.service import Repository
from extracted.posts.settings import MONGODB

CONSUMER = "posts"


class Storage(Protocol):
    """A database that posts are kept in; connects at the first use."""

    @property
    def outbox(self) -> OutboxStore:
        """What the relay sends."""
        ...

    @property
    def memory(self) -> Memory:
        """What the consumer has handled."""
        ...

    def repository(self, wake: Callable[[], None] = lambda: None) -> Repository:
        """Posts and comments; `wake` is called when there is something to send."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class SqlStorage:
    """See `Storage`."""

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self.outbox = SqlOutbox(self._database.engine, tables.outbox)
        self.memory = Processed(self._database.engine, tables.processed, CONSUMER)

    def repository(self, wake: Callable[[], None] = lambda: None) -> Repository:
        """See `Storage`."""
        return SqlPosts(self._database.sessions, Outbox(tables.outbox, wake), self.memory)

    def close(self) -> None:
        """See `Storage`."""
        self._database.close()


def open_storage(url: str) -> Storage:
    """The storage at a URL that `settings.posts_url` has passed."""
    if url.startswith(MONGODB):
        # Only now: who keeps posts in SQL needs no driver of MongoDB's.
        from extracted.posts.mongodb import MongoStorage

        return MongoStorage(url)
    return SqlStorage(url)
