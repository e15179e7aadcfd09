"""A MongoDB in memory, behind the store's port: what a test may lean on where none is running.

It is written after MongoDB's manual, and is not MongoDB. Documents are kept as BSON, so what BSON
has no room for is refused here too; validators refuse who does not pass them, and never deletes;
collMod waits for who is writing; the stream of changes has the order of commits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import bson

from strangler_proxy.handover.databases.mongodb import MongoDatabase
from strangler_proxy.handover.databases.mongodb.client import CODEC
from strangler_proxy.handover.databases.mongodb.store import Changed, Document, Hello
from strangler_proxy.handover.faults import Clash, DatabaseUnreachable, HandoverRefused, LockBusy

_MOST_BYTES = 16 * 2**20


class WriteRefused(Exception):
    """Document failed validation (121)."""


@dataclass
class FakeServer:
    """One database that any number of stores and services use. `broken`: nobody reaches it."""

    replica_set: bool = True
    broken: bool = False
    watched: Callable[[str, str], None] = lambda statement, collection: None
    """Called before each statement of a mover's, with its name and collection."""
    _documents: dict[str, dict[Any, bytes]] = field(default_factory=dict)
    _rules: dict[str, Document] = field(default_factory=dict)
    _unique: dict[str, set[str]] = field(default_factory=dict)
    _indexes: dict[str, set[str]] = field(default_factory=dict)
    _log: list[Changed] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def database(self, lease_s: float = 12.0) -> MongoDatabase:
        """As a move opens it."""
        return MongoDatabase(lambda _: FakeStore(self), "mongodb://fake/t", lease_s)

    # --- a service, or a test

    def all(self, collection: str) -> list[dict[str, Any]]:
        """Every document, in the order of `_id`."""
        with self._lock:
            kept = self._documents.get(collection, {})
            return [_read(kept[key]) for key in sorted(kept, key=_sortable)]

    def write(self, collection: str, document: Document) -> None:
        """Insert or replace a document, as an application does."""
        with self._lock:
            validator = self._rules.get(collection, {}).get("validator", {})
            needed = validator.get("$jsonSchema", {}).get("required", [])
            if any(name not in document for name in needed):
                raise WriteRefused(f"Document failed validation: missing {needed}")
            self._keep(collection, document)

    def remove(self, collection: str, identifier: Any) -> None:
        """Delete a document, which no validator refuses."""
        with self._lock:
            if self._documents.get(collection, {}).pop(_key(identifier), None) is not None:
                self._logged(collection, identifier, "delete")

    @contextmanager
    def transaction(self) -> Iterator[FakeServer]:
        """One that has written and not ended: collMod waits for it."""
        with self._writing:
            yield self

    def drop(self, collection: str) -> None:
        """As a person at a prompt does."""
        with self._lock:
            if self._documents.pop(collection, None) is not None:
                self._rules.pop(collection, None)
                self._logged(collection, None, "drop")

    def unique(self, collection: str, path: str) -> None:
        """A unique index of the service's."""
        self._unique.setdefault(collection, set()).add(path)

    def rule(self, collection: str) -> Document:
        """Its validator, level and action."""
        return self._rules.get(collection, {})

    def set_rule(self, collection: str, validator: Document) -> None:
        """A validator of the service's."""
        rule = {"validator": validator, "validationLevel": "moderate", "validationAction": "error"}
        self._rules[collection] = rule

    def indexes(self, collection: str) -> set[str]:
        """Names of indexes that are there."""
        return self._indexes.get(collection, set())

    # --- shared with stores

    def _keep(self, collection: str, document: Document) -> None:
        encoded = bson.encode(document, codec_options=CODEC)
        if len(encoded) > _MOST_BYTES:
            raise HandoverRefused("a document would be over 16 MB")
        kept = self._documents.setdefault(collection, {})
        key = _key(document["_id"])
        for path in self._unique.get(collection, ()):
            for other, found in kept.items():
                if other != key and _read(found).get(path) == document.get(path):
                    raise Clash(f"E11000 duplicate key: {path}: {document.get(path)!r}")
        operation = "replace" if key in kept else "insert"
        kept[key] = encoded
        self._logged(collection, document["_id"], operation)

    def _logged(self, collection: str, identifier: Any, operation: str) -> None:
        mark = {"behind": len(self._log) + 1}
        self._log.append(Changed(collection, identifier, operation, time.time(), mark))


class FakeStore:
    """See store.Store."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self.hello()

    def hello(self) -> Hello:
        self._asked("hello", "")
        return Hello(self._server.replica_set, time.time())

    def collections(self) -> Collection[str]:
        self._asked("collections", "")
        return set(self._server._documents)

    def create(self, collection: str) -> None:
        self._asked("create", collection)
        self._server._documents.setdefault(collection, {})

    def drop(self, collection: str) -> None:
        self._asked("drop", collection)
        self._server.drop(collection)

    def insert(self, collection: str, documents: Sequence[bytes]) -> None:
        self._asked("insert", collection)
        clash = None
        with self._server._lock:
            for encoded in documents:
                document = _read(encoded)
                if _key(document["_id"]) in self._server._documents.get(collection, {}):
                    clash = Clash(f"E11000 duplicate key: _id: {document['_id']!r}")
                    continue
                self._server._keep(collection, document)
        if clash:
            raise clash

    def put(self, collection: str, documents: Sequence[Document]) -> None:
        self._asked("put", collection)
        with self._server._lock:
            for document in documents:
                kept = self._server._documents.get(collection, {}).get(_key(document["_id"]))
                self._server._keep(collection, {**(_read(kept) if kept else {}), **document})

    def delete(self, collection: str, identifiers: Sequence[Any]) -> None:
        self._asked("delete", collection)
        for identifier in identifiers:
            self._server.remove(collection, identifier)

    def find(self, collection: str, path: str, values: Sequence[Any]) -> list[Document]:
        self._asked("find", collection)
        wanted = {_key(value) for value in values}
        return [
            document
            for document in self._server.all(collection)
            if any(_key(value) in wanted for value in _at(document, path))
        ]

    def scan(self, collection: str, batch: int) -> Iterator[list[Document]]:
        self._asked("scan", collection)
        found = self._server.all(collection)
        for start in range(0, len(found), batch):
            yield list(found[start : start + batch])

    def largest(self, collection: str, path: str) -> Any:
        self._asked("largest", collection)
        found = [value for each in self._server.all(collection) for value in _at(each, path)]
        return max(found, key=lambda value: _sortable(_key(value)), default=None)

    def raise_number(self, collection: str, identifier: str, field: str, number: int) -> None:
        self._asked("raise_number", collection)
        kept = {each["_id"]: each for each in self._server.all(collection)}
        last = kept.get(identifier, {}).get(field, number)
        self._server._keep(collection, {"_id": identifier, field: max(last, number)})

    def swap(self, collection: str, wanted: Document, fields: Document) -> bool:
        self._asked("swap", collection)
        with self._server._lock:
            for document in self._server.all(collection):
                if all(_matches(document.get(name), each) for name, each in wanted.items()):
                    self._server._keep(collection, {**document, **fields})
                    return True
        return False

    def index(self, collection: str, path: str, name: str) -> None:
        self._asked("index", collection)
        self._server._indexes.setdefault(collection, set()).add(name)

    def drop_index(self, collection: str, name: str) -> None:
        self._asked("drop_index", collection)
        self._server._indexes.get(collection, set()).discard(name)

    def rule(self, collection: str) -> Document:
        self._asked("rule", collection)
        return self._server._rules.get(collection, {})

    def set_rule(self, collection: str, rule: Document, wait_s: float) -> None:
        self._asked("set_rule", collection)
        if not self._server._writing.acquire(timeout=wait_s):
            raise LockBusy(f"{collection} is being written")
        with self._server._lock:
            self._server._rules[collection] = dict(rule)
        self._server._writing.release()

    def position(self) -> Document:
        self._asked("position", "")
        return {"behind": len(self._server._log)}

    def changes(
        self, collections: Sequence[str], mark: Document, most: int
    ) -> tuple[list[Changed], Document]:
        self._asked("changes", "")
        with self._server._lock:
            log = self._server._log
            found = [each for each in log[mark["behind"] :] if each.collection in collections]
            behind = found[most - 1].mark if len(found) > most else {"behind": len(log)}
        return found[:most], behind if found else {"behind": len(log)}

    def close(self) -> None:
        return None

    def _asked(self, statement: str, collection: str) -> None:
        self._server.watched(statement, collection)
        if self._server.broken:
            raise DatabaseUnreachable("mongodb://fake/t cannot be used")


def _read(encoded: bytes) -> dict[str, Any]:
    return bson.decode(encoded, codec_options=CODEC)


def _key(value: Any) -> Any:
    """Equal for what MongoDB finds equal, of the types that keys have."""
    if isinstance(value, Mapping):
        return ("object", tuple((name, _key(each)) for name, each in value.items()))
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, int):
        return ("number", int(value))
    if isinstance(value, bytes):
        return ("binary", bytes(value))
    return (type(value).__name__, value if isinstance(value, str) else str(value))


def _sortable(key: Any) -> Any:
    kind, value = key
    return (kind, value) if kind != "object" else (kind, str(value))


def _matches(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return all(
            value is not None and {"$lt": value < bound, "$gt": value > bound}[operator]
            for operator, bound in wanted.items()
        )
    return bool(value == wanted)


def _at(document: Mapping[str, Any], path: str) -> Iterator[Any]:
    name, _, rest = path.partition(".")
    value = document.get(name)
    if rest:
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Mapping):
                yield from _at(each, rest)
    elif name in document:
        yield value
