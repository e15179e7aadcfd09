"""The outbox in MongoDB, for the relay. One relay works at a time, by a lease.

There is one event for each post, so whatever the order they are sent in, that of each key is kept.
Times are each machine's own: if clocks differ by more than a lease, or one relay is slower than it,
two may send the same event, under the same id.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from extracted.chassis.outbox_store import COUNTED_AT_MOST, PURGE_AT_ONCE, Backlog, Claim, Recorded
from extracted.posts.mongodb.documents import Document, read_message
from extracted.posts.mongodb.unfinished import NEW, Unfinished

# What a killed relay delays the others by.
LEASE_S = 30.0
UNSENT: Document = {"sent_ms": {"$eq": None}}


class MongoOutbox:
    """See `OutboxStore`."""

    def __init__(
        self,
        database: Database[Document],
        unfinished: Unfinished,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._posts = database["posts"]
        self._events = database["outbox"]
        self._leases = database["leases"]
        self._unfinished = unfinished
        self._clock = clock

    @contextmanager
    def claim(self, limit: int) -> Iterator[Claim]:
        """See `OutboxStore`. What others have left unfinished is finished first."""
        with self._leased() as mine:
            events: list[Recorded] = []
            if mine:
                self._unfinished.finish_all()
                due = {**UNSENT, "due_ms": {"$lte": self._ms()}}
                found = self._events.find(due).sort("recorded_ms").limit(limit)
                events = [
                    Recorded(each["_id"], read_message({"id": each["_id"], **each}))
                    for each in found
                ]
            yield _MongoClaim(self, events)

    def backlog(self) -> Backlog:
        """See `OutboxStore`. An event that is in its post still counts, without an age."""
        waiting = self._events.count_documents(UNSENT, limit=COUNTED_AT_MOST)
        oldest = self._events.find_one(UNSENT, sort=[("recorded_ms", 1)])
        oldest_s = 0.0 if oldest is None else self._clock() - oldest["recorded_ms"] / 1000
        return Backlog(waiting + self._posts.count_documents(NEW), max(0.0, oldest_s))

    def purge(self, keep_s: float) -> int:
        """See `OutboxStore`."""
        old = self._events.find({"sent_ms": {"$lt": self._ms(-keep_s)}}, {"_id": 1})
        places = [each["_id"] for each in old.limit(PURGE_AT_ONCE)]
        if places:
            self._events.delete_many({"_id": {"$in": places}})
        return len(places)

    @contextmanager
    def _leased(self) -> Iterator[bool]:
        """Whether the lease is ours for the block, which is not to take longer than it."""
        owner = uuid.uuid4().hex
        over = {"_id": "relay", "until_ms": {"$lte": self._ms()}}
        ours = {"owner": owner, "until_ms": self._ms(LEASE_S)}
        try:
            self._leases.update_one(over, {"$set": ours}, upsert=True)
        except DuplicateKeyError:
            yield False
            return
        try:
            yield True
        finally:
            self._leases.update_one({"_id": "relay", "owner": owner}, {"$set": {"until_ms": 0}})

    def _settle(self, sent: Collection[str], postponed: Collection[str], delay_s: float) -> None:
        marks = ((sent, {"sent_ms": self._ms()}), (postponed, {"due_ms": self._ms(delay_s)}))
        for places, values in marks:
            if places:
                self._events.update_many({"_id": {"$in": list(places)}}, {"$set": values})

    def _ms(self, later_s: float = 0.0) -> int:
        return round((self._clock() + later_s) * 1000)


class _MongoClaim:
    def __init__(self, outbox: MongoOutbox, events: Sequence[Recorded]) -> None:
        self._outbox = outbox
        self.events = events

    def settle(self, sent: Collection[str], postponed: Collection[str], delay_s: float) -> None:
        self._outbox._settle(sent, postponed, delay_s)
