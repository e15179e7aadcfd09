"""What is still to be done about a post stands in its document, from the one write that decides.

A new post is inserted with its event inside: `event`. Then the event goes to the outbox, and then
out of the post. A post that is deleted is first marked: `deleted`. Nobody finds it from then on;
its event goes to the outbox if it is there still, its comments go, and it itself goes last. The
request does all this before it answers; what a death or a failure leaves, whoever relays events
does. Each step may be done twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from pymongo.database import Database
from pymongo.errors import WriteError

from extracted.posts.mongodb.documents import Document

log = logging.getLogger(__name__)

LIVE: Document = {"deleted": {"$exists": False}}
NEW: Document = {"event.id": {"$exists": True}}
DELETED: Document = {"deleted": {"$exists": True}}
# DocumentValidationFailure: a move keeps the collection shut.
SHUT = 121


class Unfinished:
    """Finishes what was begun; for any number of threads and processes at once."""

    def __init__(
        self, database: Database[Document], clock: Callable[[], float] = time.time
    ) -> None:
        self._posts = database["posts"]
        self._comments = database["comments"]
        self._outbox = database["outbox"]
        self._clock = clock

    def finish_all(self) -> None:
        """Whatever others have left. Raises PyMongoError."""
        for document in self._posts.find(DELETED):
            self.delete(document)
        for document in self._posts.find(NEW):
            try:
                self.announce(document)
            except WriteError as error:
                if error.code != SHUT:
                    raise
                # Its event is in the outbox; the rest waits until the collection is opened.
                log.info("Post %s stays as it is while a move keeps it shut", document["_id"])

    def announce(self, document: Document) -> None:
        """Hand a new post's event over."""
        event = document["event"]
        self._hand_over(event)
        this = {"_id": document["_id"], "event.id": event["id"]}
        self._posts.update_one(this, {"$unset": {"event": ""}})

    def delete(self, document: Document) -> None:
        """Take a marked post away."""
        if "event" in document:
            self._hand_over(document["event"])
        self._comments.delete_many({"post_id": document["_id"]})
        self._posts.delete_one({"_id": document["_id"]})

    def _hand_over(self, event: Document) -> None:
        kept = {name: event[name] for name in ("topic", "key", "body", "mandatory")}
        waiting = {**kept, "recorded_ms": round(self._clock() * 1000), "due_ms": 0, "sent_ms": None}
        self._outbox.update_one({"_id": event["id"]}, {"$setOnInsert": waiting}, upsert=True)
