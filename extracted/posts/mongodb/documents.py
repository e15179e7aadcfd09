"""Posts, comments and events as documents, and back. Pure.

A post and a comment are documents of two collections, as a move makes them of the two tables: a
post's comments are read by pages and without it, and their number has no bound, as a document's
size has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from extracted.chassis.events.port import Message
from extracted.posts.model import Comment, Post

Document = dict[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def post_document(post: Post) -> Document:
    """A post as it is kept."""
    return _document(asdict(post))


def comment_document(comment: Comment) -> Document:
    """A comment as it is kept."""
    return _document(asdict(comment))


def read_post(document: Mapping[str, Any], author_name: str) -> Post:
    """The post of a document; what is still to be done about it is left out."""
    return Post(
        id=document["_id"],
        author_id=document["author_id"],
        author_name=author_name,
        title=document["title"],
        body=document["body"],
        image_url=document.get("image_url"),
        created_at=document["created_at"],
        updated_at=document["updated_at"],
    )


def read_comment(document: Mapping[str, Any], author_name: str) -> Comment:
    """The comment of a document."""
    return Comment(
        id=document["_id"],
        post_id=document["post_id"],
        author_id=document["author_id"],
        author_name=author_name,
        body=document["body"],
        created_at=document["created_at"],
    )


def event_document(message: Message) -> Document:
    """An event as it waits, inside its post's document or in the outbox."""
    return {
        "id": message.id,
        "topic": message.topic,
        "key": message.key,
        "body": message.body.decode(),
        "mandatory": int(message.mandatory),
    }


def read_message(document: Mapping[str, Any]) -> Message:
    """The event of such a document."""
    return Message(
        document["id"],
        document["topic"],
        document["key"],
        document["body"].encode(),
        bool(document["mandatory"]),
    )


def microseconds(moment: datetime) -> int:
    """Since 1970. BSON's own dates end at milliseconds, too coarse to put renames in order."""
    return (moment - EPOCH) // MICROSECOND


def _document(values: dict[str, Any]) -> Document:
    del values["author_name"]  # see `names`
    return {"_id": values.pop("id"), **values}
