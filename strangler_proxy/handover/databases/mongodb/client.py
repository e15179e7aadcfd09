"""The store over pymongo. Every statement has a time limit, at the server too (maxTimeMS).

Reads go to the primary and see what a majority has; so they see all that the stream has told.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pymongo
from bson import CodecOptions
from bson.binary import UuidRepresentation
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteOne, MongoClient, ReadPreference, ReturnDocument, UpdateOne
from pymongo import errors as driver
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from strangler_proxy.handover.databases.mongodb.store import Changed, Document, Hello
from strangler_proxy.handover.faults import (
    Clash,
    DatabaseUnreachable,
    HandoverFault,
    HandoverRefused,
    LockBusy,
)

CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    uuid_representation=UuidRepresentation.STANDARD, tz_aware=False
)
_BUSY = (24, 46, 50, 112, 202, 262)  # locks, time limits, write conflicts
_LOST_MARK = (136, 260, 280, 286)
_LOOK_MS = 20
_CLOCK = "strangler_clock"
RULE = ("validator", "validationLevel", "validationAction")
NO_RULE: Document = {
    "validator": {},
    "validationLevel": "strict",
    "validationAction": "error",
}
_MOVED = {"insert", "update", "replace", "delete"}


class PymongoStore:
    """See store.Store."""

    def __init__(self, url: str, name: str, shown: str, statement_s: float) -> None:
        self._shown, self._statement_s = shown, statement_s
        with self._told():
            self._client: MongoClient[dict[str, Any]] = MongoClient(
                url,
                serverSelectionTimeoutMS=int(min(statement_s, 10.0) * 1000),
                appname="strangler-proxy",
            )
            # What a majority has is what a replica set keeps; alone, a server has no other.
            self._database = self._client.get_database(
                name,
                codec_options=CODEC,
                read_preference=ReadPreference.PRIMARY,
                write_concern=WriteConcern(w="majority"),
                read_concern=ReadConcern("majority"),
            )
            # So what is read is at least as new as the last change that the stream has told.
            self._session = self._client.start_session(causal_consistency=True)
        self.hello()

    def hello(self) -> Hello:
        """Ask the server."""
        with self._asking():
            told = self._client.admin.command("hello")
        now: datetime = told["localTime"]
        return Hello(bool(told.get("setName")), now.replace(tzinfo=UTC).timestamp())

    def collections(self) -> Collection[str]:
        """Names of those that are there."""
        with self._asking():
            return set(self._database.list_collection_names())

    def create(self, collection: str) -> None:
        """Make a collection that is not there yet."""
        if collection not in self.collections():
            with self._asking():
                self._database.create_collection(collection)

    def drop(self, collection: str) -> None:
        """Take a collection away."""
        with self._asking():
            self._database.drop_collection(collection)

    def insert(self, collection: str, documents: Sequence[bytes]) -> None:
        """In the documents' order, by the driver's own batches."""
        with self._asking():
            self._database[collection].insert_many(
                [RawBSONDocument(each) for each in documents],
                ordered=False,
                bypass_document_validation=True,
            )

    def put(self, collection: str, documents: Sequence[Document]) -> None:
        """Upserts, in any order."""
        asked = [UpdateOne({"_id": each["_id"]}, _setting(each), upsert=True) for each in documents]
        with self._asking():
            self._database[collection].bulk_write(
                asked, ordered=False, bypass_document_validation=True
            )

    def delete(self, collection: str, identifiers: Sequence[Any]) -> None:
        """In any order."""
        with self._asking():
            self._database[collection].bulk_write(
                [DeleteOne({"_id": each}) for each in identifiers], ordered=False
            )

    def find(self, collection: str, path: str, values: Sequence[Any]) -> list[Document]:
        """`_id` by $in; elements by $or, which what only speaks the protocol has as well."""
        wanted: dict[str, Any] = {"$or": [{path: each} for each in values]}
        if path == "_id":
            wanted = {path: {"$in": list(values)}}
        with self._asking():
            return list(self._database[collection].find(wanted, session=self._session))

    def scan(self, collection: str, batch: int) -> Iterator[list[Document]]:
        """By a cursor of the server's, which it keeps for some minutes between two batches."""
        with closing(self._database[collection].find(batch_size=batch)) as cursor:
            while True:
                with self._asking():
                    found: list[Document] = list(islice(cursor, batch))
                if not found:
                    return
                yield found

    def largest(self, collection: str, path: str) -> Any:
        """By its index, where there is one."""
        with self._asking():
            found = self._database[collection].find_one(sort=[(path, -1)])
        return max(_at(found, path), default=None) if found else None

    def raise_number(self, collection: str, identifier: str, field: str, number: int) -> None:
        """$max."""
        with self._asking():
            self._database[collection].update_one(
                {"_id": identifier}, {"$max": {field: number}}, upsert=True
            )

    def swap(self, collection: str, wanted: Document, fields: Document) -> bool:
        """An update of the one document, which the server carries out whole."""
        with self._asking():
            done = self._database[collection].update_one(dict(wanted), {"$set": dict(fields)})
        return bool(done.matched_count)

    def index(self, collection: str, path: str, name: str) -> None:
        """Have an index."""
        with self._asking():
            self._database[collection].create_index(path, name=name)

    def drop_index(self, collection: str, name: str) -> None:
        """Take it away."""
        try:
            with self._asking():
                self._database[collection].drop_index(name)
        except _Absent:
            return

    def rule(self, collection: str) -> Document:
        """By listCollections."""
        with self._asking():
            found = list(self._database.list_collections(filter={"name": collection}))
        told: list[Mapping[str, Any]] = [
            each.get("options", {}) for each in found if each["name"] == collection
        ]
        return {name: each[name] for each in told for name in RULE if each.get(name)}

    def set_rule(self, collection: str, rule: Document, wait_s: float) -> None:
        """CollMod, which has the collection alone for a moment."""
        with self._told(), pymongo.timeout(wait_s):
            self._database.command({"collMod": collection, **NO_RULE, **rule})

    def position(self) -> Document:
        """The time of a write of our own, which a majority has."""
        self._marked()
        return {"since": self._session.operation_time}

    def changes(
        self, collections: Sequence[str], mark: Document, most: int
    ) -> tuple[list[Changed], Document]:
        """Up to a write of our own: an empty batch alone does not say that the stream has ended.

        What was acknowledged before that write comes before it in the stream.
        """
        last, found = self._marked(), list[Changed]()
        wanted = [{"$match": {"ns.coll": {"$in": [*collections, _CLOCK]}}}]
        start: dict[str, Any] = (
            {"start_at_operation_time": mark["since"]}
            if "since" in mark
            else {"start_after": mark["behind"]}
        )
        deadline = time.monotonic() + self._statement_s
        with (
            self._asking(),
            self._database.watch(
                wanted, max_await_time_ms=_LOOK_MS, session=self._session, **start
            ) as stream,
        ):
            while len(found) < most:
                event = stream.try_next()
                if event is None and time.monotonic() > deadline:
                    raise LockBusy(f"{self._shown}: the stream of changes is far behind")
                if event and event.get("ns", {}).get("coll") != _CLOCK:
                    found.append(_changed(event))
                elif event and _ticks(event) >= last:
                    return found, {"behind": event["_id"]}
        return found, found[-1].mark

    def _marked(self) -> int:
        """A number that is in the stream from now on."""
        with self._asking():
            kept = self._database[_CLOCK].find_one_and_update(
                {"_id": 1},
                {"$inc": {"ticks": 1}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
                session=self._session,
            )
        return int((kept or {})["ticks"])

    def close(self) -> None:
        """Hang up."""
        self._session.end_session()
        self._client.close()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        with self._told(), pymongo.timeout(self._statement_s):
            yield

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except PyMongoError as fault:
            raise _fault(self._shown, fault) from fault


class _Absent(HandoverFault):
    """There is no such collection or index."""


def _setting(document: Document) -> dict[str, Any]:
    fields = {name: value for name, value in document.items() if name != "_id"}
    # Without a field to be set, the document is made all the same.
    return {"$set": fields} if fields else {"$setOnInsert": {"_id": document["_id"]}}


def _changed(event: Mapping[str, Any]) -> Changed:
    operation = event["operationType"]
    identifier = event["documentKey"]["_id"] if operation in _MOVED else None
    at = event.get("wallTime") or datetime.now(UTC)
    return Changed(
        event.get("ns", {}).get("coll", ""),
        identifier,
        operation,
        at.replace(tzinfo=UTC).timestamp(),
        {"behind": event["_id"]},
    )


def _ticks(event: Mapping[str, Any]) -> int:
    """The number that a write to the clock has left, inserted or updated."""
    fields = event.get("fullDocument") or event.get("updateDescription", {}).get("updatedFields")
    return int((fields or {}).get("ticks", 0))


def _at(found: Any, path: str) -> Iterator[Any]:
    name, _, rest = path.partition(".")
    value = found.get(name) if isinstance(found, Mapping) else None
    if rest:
        for each in value if isinstance(value, list) else [value]:
            yield from _at(each, rest)
    elif value is not None:
        yield value


def _fault(shown: str, fault: PyMongoError) -> HandoverFault:
    code, told = getattr(fault, "code", None), str(fault).partition(" (configured timeouts")[0]
    if isinstance(fault, driver.BulkWriteError):
        first: Mapping[str, Any] = next(iter(fault.details.get("writeErrors", ())), {})
        code, told = first.get("code"), str(first.get("errmsg", told))
    match code:
        case 11000 | 121:
            return Clash(f"{shown}: {told}")
        case 26 | 27:
            return _Absent(f"{shown}: {told}")
    if isinstance(fault, driver.ConnectionFailure):
        return DatabaseUnreachable(f"{shown} cannot be used: {told}")
    if code in _BUSY or fault.timeout:
        return LockBusy(f"{shown} did not answer in time: {told}")
    if code in _LOST_MARK:
        return HandoverRefused(
            f"{shown} does not know any more what changed since the mover stopped (its oplog is "
            f"shorter): {told}. Verify, and repair what differs"
        )
    if isinstance(fault, driver.DocumentTooLarge):
        return HandoverRefused(f"{shown}: a document would be over 16 MB: {told}")
    return HandoverFault(f"{shown}: {told}")
