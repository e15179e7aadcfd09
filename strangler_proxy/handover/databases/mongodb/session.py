"""A MongoDB and one claim on it; see port.Database. It speaks no SQL.

A claim is a lease in a document, for MongoDB has no lock that ends with a connection: by the
server's clock it lasts `LEASE_S`, and no statement is sent unless it lasts longer than the
statement may. So whoever has the lease next knows that no statement of the one before is carried
out any more. Another machine's mover is kept off by the source's lock, which ends with its holder.
"""

import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import bson

from strangler_proxy.handover.databases.mongodb.store import Document, Store
from strangler_proxy.handover.databases.port import (
    AnyKind,
    Dialect,
    Row,
    Session,
    Table,
    TableName,
)
from strangler_proxy.handover.faults import (
    Clash,
    DatabaseUnreachable,
    HandoverFault,
    HandoverRefused,
    LockBusy,
)

LEASE_S = 12.0
STATEMENT_S = 5.0
"""The longest that a statement under a lease may take."""
_CLAIMS = "strangler_claims"
_AT_ONCE = 1_000  # documents in one statement
Connect = Callable[[float], Store]


class MongoDatabase:
    """See port.Database; `connect` opens a store whose statements may take so many seconds."""

    def __init__(self, connect: Connect, shown: str, lease_s: float = LEASE_S) -> None:
        self.shown = shown
        self.lease_s = lease_s
        self._connect = connect

    @property
    def kind(self) -> AnyKind:
        """MongoDB, or what speaks its protocol."""
        return "mongodb"

    @property
    def dialect(self) -> Dialect:
        """There is none."""
        _no_sql()

    def session(self, mover: str | None = None, statement_s: float = 60.0) -> "MongoSession":
        """Connect."""
        store = self._connect(min(statement_s, STATEMENT_S))
        return MongoSession(store, self.shown, self.lease_s)


class WithoutSql:
    """The part of port.Session that is SQL: nothing of a move asks it of MongoDB."""

    raw: Any = None
    enforces_references = False

    @property
    def dialect(self) -> Dialect:
        """There is none."""
        _no_sql()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """No SQL."""
        _no_sql()

    def define(self, sql: str) -> None:
        """No SQL."""
        _no_sql()

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """No SQL."""
        _no_sql()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """No SQL."""
        _no_sql()

    def scalar(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """No SQL."""
        _no_sql()

    def stream(
        self, sql: str, parameters: Sequence[Any] = (), batch_rows: int = 1000
    ) -> Generator[list[Row], None, None]:
        """No SQL."""
        _no_sql()


class MongoSession(WithoutSql):
    """One connection's claims, and the store that it asks."""

    kind: AnyKind = "mongodb"

    def __init__(self, store: Store, shown: str, lease_s: float) -> None:
        self.shown = shown
        self._store = store
        self._lease_s = lease_s
        self._holder = str(uuid.uuid4())
        self._claims: dict[str, float] = {}

    @property
    def store(self) -> Store:
        """The store, for a statement or two: our claims last as long as those may take."""
        for name, since in self._claims.items():
            if time.monotonic() - since > self._lease_s - STATEMENT_S:
                self._renew(name)
        return self._store

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Each statement by itself is acknowledged by a majority, and may be carried out again."""
        yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """No more than `transaction`: documents are read one by one."""
        yield

    def put(self, collection: str, documents: Sequence[Document]) -> None:
        """See Store.put; any number of them."""
        for some in _parts(documents):
            self.store.put(collection, some)

    def delete(self, collection: str, identifiers: Sequence[Any]) -> None:
        """See Store.delete; any number of them."""
        for some in _parts(identifiers):
            self.store.delete(collection, some)

    def find(self, collection: str, path: str, values: Sequence[Any]) -> list[Document]:
        """See Store.find; for any number of values."""
        return [
            found for some in _parts(values) for found in self.store.find(collection, path, some)
        ]

    def kept(self, collection: str, identifier: Any = 1) -> dict[str, Any] | None:
        """A document that a move keeps for itself."""
        found = self.store.find(collection, "_id", [identifier])
        return dict(found[0]) if found else None

    def claim(self, name: str) -> None:
        """Have the lease of this name, or LockBusy."""
        asked, now_s = time.monotonic(), self._store.hello().now_s
        until = now_s + self._lease_s
        free = {"_id": name, "until": {"$lt": now_s}}
        if not self._store.swap(_CLAIMS, free, {"holder": self._holder, "until": until}):
            made = {"_id": name, "holder": self._holder, "until": until}
            try:
                self._store.insert(_CLAIMS, [bson.encode(made)])
            except Clash as clash:
                told = f"another process is at work on '{name}' in {self.shown}"
                raise LockBusy(told) from clash
        self._claims[name] = asked

    def describe(self, name: TableName) -> Table:
        """A collection, or the one that an array is in; it says nothing of its fields."""
        ours = name.name.startswith("strangler_")
        collection = name.name if ours or not name.schema else name.schema
        if collection not in self._store.collections():
            raise HandoverRefused(f"{self.shown} has no collection {collection}")
        return Table(name, (), ())

    def fingerprint(self, table: Table) -> str:
        """Collections have no columns that could be altered."""
        return "a collection"

    def close(self) -> None:
        """Give the claims back, and hang up."""
        with suppress(HandoverFault):  # a lease ends by itself
            for name in self._claims:
                self._store.swap(_CLAIMS, self._mine(name), {"until": 0.0})
        self._claims = {}
        self._store.close()

    def _renew(self, name: str) -> None:
        asked = time.monotonic()
        until = self._store.hello().now_s + self._lease_s
        if not self._store.swap(_CLAIMS, self._mine(name), {"until": until}):
            raise DatabaseUnreachable(f"another process has taken '{name}' over in {self.shown}")
        self._claims[name] = asked

    def _mine(self, name: str) -> Document:
        return {"_id": name, "holder": self._holder}


def mongo(session: Session) -> MongoSession:
    """A session that is known to be MongoDB's."""
    if isinstance(session, MongoSession):
        return session
    raise TypeError(f"{session!r} is no session of MongoDB")


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]


def _no_sql() -> NoReturn:
    raise TypeError("MongoDB speaks no SQL: what asked it for some is not made for documents")
