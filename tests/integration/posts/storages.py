"""The databases that posts are kept in, each empty, and what tests look at in them.

In the wire protocol's stand-in (nx-27017, no MongoDB: see tests/mongodb/wire.py) a moment that is
updated comes back as text, which is read as a moment here; and an index that has `_id` in it breaks
inserts, so there are none. Nothing else is helped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from extracted.posts.model import CommentDraft, Post, PostDraft, Writer
from extracted.posts.mongodb.names import Names
from extracted.posts.mongodb.outbox import MongoOutbox
from extracted.posts.mongodb.repository import MongoPosts
from extracted.posts.mongodb.unfinished import Unfinished
from extracted.posts.opening import Storage
from extracted.posts.service import Repository, created

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def writer(user_id: int = 1, name: str = "Ann", told_at: datetime = NOON) -> Writer:
    return Writer(user_id, name, f"{name.lower()}@example.org", told_at, "ko")


def write(
    repository: Repository, by: Writer | None = None, title: str = "Title", body: str = "Body"
) -> Post:
    """A post, a second after noon."""
    draft = PostDraft(by or writer(), title, body, None, NOON + timedelta(seconds=1))
    return repository.add(draft, lambda post: created(post, draft.writer))


def remark(post_id: int, by: Writer | None = None, body: str = "Nice") -> CommentDraft:
    return CommentDraft(by or writer(), post_id, body, NOON + timedelta(seconds=2))


@dataclass
class Kept:
    """One storage, and its repository."""

    kind: str
    storage: Storage
    repository: Repository


class Dated:
    """A database whose posts have moments where the stand-in gives text."""

    def __init__(self, database: Any) -> None:
        self._database = database

    def __getitem__(self, name: str) -> Any:
        found = self._database[name]
        return _DatedPosts(found) if name == "posts" else found


class _DatedPosts:
    def __init__(self, collection: Any) -> None:
        self._collection = collection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def find_one(self, *args: Any, **more: Any) -> Any:
        return _dated(self._collection.find_one(*args, **more))

    def find_one_and_update(self, *args: Any, **more: Any) -> Any:
        return _dated(self._collection.find_one_and_update(*args, **more))


def _dated(document: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if document is None or not isinstance(document.get("updated_at"), str):
        return document
    moment = datetime.fromisoformat(document["updated_at"]).replace(tzinfo=UTC)
    return {**document, "updated_at": moment}


def in_parts(database: Any, clock: Any = None) -> tuple[MongoPosts, MongoOutbox]:
    """A repository and an outbox over any database that answers as pymongo's does."""
    names = Names(database)
    times = {} if clock is None else {"clock": clock}
    unfinished = Unfinished(database, **times)
    return (
        MongoPosts(database, names, unfinished, lambda: None),
        MongoOutbox(database, unfinished, **times),
    )
