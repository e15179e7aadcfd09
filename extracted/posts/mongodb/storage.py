"""One MongoDB as the service's database: its client, its collections, their indexes."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bson import CodecOptions
from pymongo import ASCENDING, MongoClient
from pymongo.write_concern import WriteConcern

from extracted.chassis.client import ServiceClient
from extracted.posts.mongodb.documents import Document
from extracted.posts.mongodb.filling import Filled, fill_names
from extracted.posts.mongodb.names import Names
from extracted.posts.mongodb.outbox import MongoOutbox
from extracted.posts.mongodb.repository import MongoPosts
from extracted.posts.mongodb.unfinished import Unfinished
from extracted.posts.service import Repository

TIMEOUT_MS = 10_000
# Only the few documents that have such a field are in a sparse one.
INDEXES = (
    ("posts", ("event.id",), True),
    ("posts", ("deleted",), True),
    ("comments", ("post_id", "_id"), False),
    *((collection, ("author_id",), False) for collection in ("posts", "comments")),
    ("outbox", ("sent_ms", "recorded_ms"), False),
)
NUMBERED = ("posts", "comments")


class NoReplicaSetError(Exception):
    """The server does not tell what changes."""


class MongoStorage:
    """See `Storage`. Connects at the first use.

    Each call ends within the URL's `timeoutMS`, or TIMEOUT_MS where it has none.
    """

    def __init__(self, url: str) -> None:
        named = {name.lower() for name in parse_qs(urlsplit(url).query)}
        bound: dict[str, Any] = {} if "timeoutms" in named else {"timeoutMS": TIMEOUT_MS}
        self._client: MongoClient[Document] = MongoClient(
            url, connect=False, appname="posts", **bound
        )
        self._database = self._client.get_default_database(
            codec_options=CodecOptions(tz_aware=True), write_concern=WriteConcern(w="majority")
        )
        self._names = Names(self._database)
        self._unfinished = Unfinished(self._database)
        self.outbox = MongoOutbox(self._database, self._unfinished)
        self.memory = _NoMemory()

    def repository(self, wake: Callable[[], None] = lambda: None) -> Repository:
        """See `Storage`."""
        return MongoPosts(self._database, self._names, self._unfinished, wake)

    def prepare(self) -> None:
        """Make the indexes, and the counters of ids where there are none. Safe to repeat."""
        for collection, fields, sparse in INDEXES:
            self._database[collection].create_index(
                [(field, ASCENDING) for field in fields], sparse=sparse
            )
        for collection in NUMBERED:  # so that no two first writers meet in making one
            self._database["counters"].update_one(
                {"_id": collection}, {"$setOnInsert": {"last": 0}}, upsert=True
            )

    def need_replica_set(self) -> None:
        """See that a move could lead back, by the stream of changes. Raises NoReplicaSetError."""
        if not self._client.admin.command("hello").get("setName"):
            raise NoReplicaSetError

    def fill_names(
        self, auth: ServiceClient, *, every: bool = False, but: Set[int] = frozenset()
    ) -> Filled:
        """See `filling`."""
        return fill_names(self._database, self._names, auth, every=every, but=but)

    def close(self) -> None:
        """See `Storage`."""
        self._client.close()


class _NoMemory:
    """Remembers nothing: a rename that is handled twice has the effect of one."""

    def has(self, event_id: str) -> bool:
        return False

    def add(self, event_id: str) -> None:
        pass
