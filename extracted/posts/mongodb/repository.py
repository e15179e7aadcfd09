"""Posts and comments in MongoDB. What takes several writes, and who ends them, is told in
`unfinished`; where the authors' names are, in `names`.

A comment has no such memory: killed between its writing and the second look at its post, which
follows at once, it may be left, seen by nobody, of a post that was deleted in that moment.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from pymongo import DESCENDING, ReturnDocument
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from extracted.chassis.events import NotNowError
from extracted.chassis.events.origin import with_origin
from extracted.posts.model import Comment, CommentDraft, Post, PostDraft
from extracted.posts.mongodb.documents import (
    Document,
    comment_document,
    event_document,
    post_document,
    read_comment,
    read_post,
)
from extracted.posts.mongodb.names import Names
from extracted.posts.mongodb.unfinished import LIVE, SHUT, Unfinished
from extracted.posts.service import Announce

log = logging.getLogger(__name__)

# Beside what a move has brought, until its authors' names are: see `filling`.
UNKNOWN = ""

# What a move has shut does not open by itself when the hold at the proxy runs out: a hand-over that
# was late opens it a moment later. A refused write has changed nothing, and may be sent again.
SHUT_S, SHUT_PAUSE_S = 5.0, 0.05

Read = TypeVar("Read")
Written = TypeVar("Written")


class MongoPosts:
    """See `Repository`."""

    def __init__(
        self,
        database: Database[Document],
        names: Names,
        unfinished: Unfinished,
        wake: Callable[[], None],
        shut_s: float = SHUT_S,
    ) -> None:
        self._posts = database["posts"]
        self._comments = database["comments"]
        self._counters = database["counters"]
        self._names = names
        self._unfinished = unfinished
        self._wake = wake
        self._shut_s = shut_s

    def newest(self, offset: int, limit: int) -> tuple[Sequence[Post], int]:
        """See `Repository`."""
        found = self._posts.find(LIVE).sort("_id", DESCENDING).skip(offset).limit(limit)
        return self._read(found, read_post), self._posts.count_documents(LIVE)

    def find(self, post_id: int) -> Post | None:
        """See `Repository`."""
        return self._read_one(self._posts.find_one({"_id": post_id, **LIVE}))

    def add(self, draft: PostDraft, announce: Announce) -> Post:
        """See `Repository`."""
        writer = draft.writer
        post = Post(
            id=self._next("posts"),
            author_id=writer.id,
            author_name=self._names.claim(writer),
            title=draft.title,
            body=draft.body,
            image_url=draft.image_url,
            created_at=draft.at,
            updated_at=draft.at,
        )
        event = event_document(with_origin(announce(post)).message())
        document = {**post_document(post), "event": event}
        self._once_open(lambda: self._posts.insert_one(document))
        try:
            self._unfinished.announce(document)
        except PyMongoError as error:
            self._left(post.id, error)
        self._wake()
        return post

    def change(self, post_id: int, changes: Mapping[str, str], at: datetime) -> Post | None:
        """See `Repository`."""
        found = self._once_open(
            lambda: self._posts.find_one_and_update(
                {"_id": post_id, **LIVE},
                {"$set": {**changes, "updated_at": at}},
                return_document=ReturnDocument.AFTER,
            )
        )
        return self._read_one(found)

    def remove(self, post_id: int) -> None:
        """See `Repository`."""
        found = self._once_open(
            lambda: self._posts.find_one_and_update({"_id": post_id}, {"$set": {"deleted": True}})
        )
        if found is None:
            return
        try:
            self._unfinished.delete(found)
        except PyMongoError as error:
            self._left(post_id, error)

    def comments(self, post_id: int, offset: int, limit: int) -> tuple[Sequence[Comment], int]:
        """See `Repository`."""
        if not self._lives(post_id):
            return [], 0
        below = {"post_id": post_id}
        found = self._comments.find(below).sort("_id").skip(offset).limit(limit)
        return self._read(found, read_comment), self._comments.count_documents(below)

    def comment(self, draft: CommentDraft) -> Comment | None:
        """See `Repository`."""
        if not self._lives(draft.post_id):
            return None
        comment = Comment(
            id=self._next("comments"),
            post_id=draft.post_id,
            author_id=draft.writer.id,
            author_name=self._names.claim(draft.writer),
            body=draft.body,
            created_at=draft.at,
        )
        self._once_open(lambda: self._comments.insert_one(comment_document(comment)))
        if not self._lives(draft.post_id):  # it has gone meanwhile
            self._comments.delete_one({"_id": comment.id})
            return None
        return comment

    def rename(self, event_id: str, user_id: int, name: str, at: datetime) -> None:
        """See `Repository`. That it is done once follows from `at`: a repeat changes nothing."""
        try:
            self._names.learn(user_id, name, at)
        except PyMongoError as error:
            raise NotNowError(f"The name of user {user_id} cannot be written: {error}") from error

    def _read(self, found: Iterable[Document], read: Callable[[Document, str], Read]) -> list[Read]:
        documents = list(found)
        names = self._names.of(each["author_id"] for each in documents)
        return [read(each, names.get(each["author_id"], UNKNOWN)) for each in documents]

    def _read_one(self, found: Document | None) -> Post | None:
        return None if found is None else self._read([found], read_post)[0]

    def _once_open(self, write: Callable[[], Written]) -> Written:
        """Write, as soon as no move keeps the collection shut; raises its refusal in the end."""
        began, refused = time.monotonic(), 0
        while True:
            try:
                written = write()
            except OperationFailure as error:
                if error.code != SHUT or time.monotonic() >= began + self._shut_s:
                    raise
                refused += 1
                time.sleep(SHUT_PAUSE_S)
            else:
                break
        if refused:
            log.info("A move kept a write waiting for %.2f s", time.monotonic() - began)
        return written

    def _lives(self, post_id: int) -> bool:
        return self._posts.find_one({"_id": post_id, **LIVE}, {"_id": 1}) is not None

    def _next(self, collection: str) -> int:
        """A new id, past those that a move has brought: it raises the same counters."""
        counter = self._counters.find_one_and_update(
            {"_id": collection},
            {"$inc": {"last": 1}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        return int(counter["last"])  # type: ignore[index]  # it is there: made, if need be

    def _left(self, post_id: int, error: PyMongoError) -> None:
        log.warning("Post %s is decided, the rest is left to the relay: %s", post_id, error)
