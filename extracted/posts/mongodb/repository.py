"""Posts and comments in MongoDB. What it does in several writes, and who ends them, is told in
`unfinished` and `names`.

A comment has no such memory. Killed between its writing and the second look, which follows at once,
it may keep an old name until the next rename, or be left, unseen, of a post that was just deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from pymongo import DESCENDING, ReturnDocument
from pymongo.database import Database
from pymongo.errors import PyMongoError

from extracted.chassis.events import NotNowError
from extracted.chassis.events.origin import with_origin
from extracted.posts.model import Comment, CommentDraft, Post, PostDraft, Writer, name_to_write
from extracted.posts.mongodb.documents import (
    Document,
    comment_document,
    event_document,
    microseconds,
    post_document,
    read_comment,
    read_post,
)
from extracted.posts.mongodb.names import Names
from extracted.posts.mongodb.unfinished import LIVE, Unfinished
from extracted.posts.service import Announce

log = logging.getLogger(__name__)


class MongoPosts:
    """See `Repository`."""

    def __init__(
        self,
        database: Database[Document],
        names: Names,
        unfinished: Unfinished,
        wake: Callable[[], None],
    ) -> None:
        self._posts = database["posts"]
        self._comments = database["comments"]
        self._counters = database["counters"]
        self._names = names
        self._unfinished = unfinished
        self._wake = wake

    def newest(self, offset: int, limit: int) -> tuple[Sequence[Post], int]:
        """See `Repository`."""
        found = self._posts.find(LIVE).sort("_id", DESCENDING).skip(offset).limit(limit)
        return [read_post(each) for each in found], self._posts.count_documents(LIVE)

    def find(self, post_id: int) -> Post | None:
        """See `Repository`."""
        found = self._posts.find_one({"_id": post_id, **LIVE})
        return None if found is None else read_post(found)

    def add(self, draft: PostDraft, announce: Announce) -> Post:
        """See `Repository`."""
        writer = draft.writer
        post = Post(
            id=self._next("posts"),
            author_id=writer.id,
            author_name=self._name(writer),
            title=draft.title,
            body=draft.body,
            image_url=draft.image_url,
            created_at=draft.at,
            updated_at=draft.at,
        )
        event = event_document(with_origin(announce(post)).message())
        event |= {"claimed": writer.name, "told_us": microseconds(writer.told_at)}
        document = {**post_document(post), "event": event}
        self._posts.insert_one(document)
        try:
            post = replace(post, author_name=self._unfinished.announce(document))
        except PyMongoError as error:
            self._left(post.id, error)
        self._wake()
        return post

    def change(self, post_id: int, changes: Mapping[str, str], at: datetime) -> Post | None:
        """See `Repository`."""
        found = self._posts.find_one_and_update(
            {"_id": post_id, **LIVE},
            {"$set": {**changes, "updated_at": at}},
            return_document=ReturnDocument.AFTER,
        )
        return None if found is None else read_post(found)

    def remove(self, post_id: int) -> None:
        """See `Repository`."""
        found = self._posts.find_one_and_update({"_id": post_id}, {"$set": {"deleted": True}})
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
        return [read_comment(each) for each in found], self._comments.count_documents(below)

    def comment(self, draft: CommentDraft) -> Comment | None:
        """See `Repository`."""
        if not self._lives(draft.post_id):
            return None
        comment = Comment(
            id=self._next("comments"),
            post_id=draft.post_id,
            author_id=draft.writer.id,
            author_name=self._name(draft.writer),
            body=draft.body,
            created_at=draft.at,
        )
        self._comments.insert_one(comment_document(comment))
        return self._looked_at_again(comment, draft.writer)

    def rename(self, event_id: str, user_id: int, name: str, at: datetime) -> None:
        """See `Repository`. That it is done once follows from `at`: a repeat changes nothing."""
        try:
            self._names.learn(user_id, name, at)
            self._names.spread(user_id)
        except PyMongoError as error:
            raise NotNowError(f"The name of user {user_id} cannot be written: {error}") from error

    def _looked_at_again(self, comment: Comment, writer: Writer) -> Comment | None:
        """Its post may have gone meanwhile, or its author may have been renamed."""
        this = {"_id": comment.id}
        if not self._lives(comment.post_id):
            self._comments.delete_one(this)
            return None
        name = self._name(writer)
        if name != comment.author_name:
            self._comments.update_one(this, {"$set": {"author_name": name}})
        return replace(comment, author_name=name)

    def _lives(self, post_id: int) -> bool:
        return self._posts.find_one({"_id": post_id, **LIVE}, {"_id": 1}) is not None

    def _name(self, writer: Writer) -> str:
        return name_to_write(writer.name, writer.told_at, self._names.known(writer.id))

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
