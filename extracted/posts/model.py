"""Posts, comments and who writes them, as values; and which name is written beside them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

# A login may read the old name while a rename is being committed: its token is then a moment
# younger than the event, and not better informed.
SETTLING = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes. `name` and `email` are as they were at `told_at`: when the token was made, or
    when the auth service was asked."""

    id: int
    name: str
    email: str
    told_at: datetime
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Renaming:
    """The newest name that an event has told of a user, and when that happened."""

    name: str
    named_at: datetime


@dataclass(frozen=True, slots=True)
class Post:
    """One post, with at most one image; `author_name` is a copy."""

    id: int
    author_id: int
    author_name: str
    title: str
    body: str
    image_url: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment; it goes when its post goes. `author_name` is a copy."""

    id: int
    post_id: int
    author_id: int
    author_name: str
    body: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PostDraft:
    """A post that is to be written, at the moment `at`."""

    writer: Writer
    title: str
    body: str
    image_url: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class CommentDraft:
    """A comment that is to be written, at the moment `at`."""

    writer: Writer
    post_id: int
    body: str
    at: datetime


def name_to_write(claimed: str, told_at: datetime, renamed: Renaming | None) -> str:
    """The name that goes beside what somebody writes: the newer of the token's and the event's.

    If it is the older one after all, the event of the newer one is on its way, and corrects it.
    """
    if renamed is not None and renamed.named_at + SETTLING > told_at:
        return renamed.name
    return claimed
