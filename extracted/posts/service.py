"""What can be done with posts and comments, and what that asks of a repository.

Knows neither HTTP nor any database. An author's name is copied in at writing, so that nothing is
asked of the auth service when posts are read; `user.renamed` refreshes the copies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from extracted.chassis.clock import Clock
from extracted.chassis.events import Event, happened
from extracted.chassis.events.payloads import Person, PostCreated
from extracted.posts.model import Comment, CommentDraft, Post, PostDraft, Writer

Announce = Callable[[Post], Event[PostCreated]]


class NoSuchPostError(Exception):
    """There is no such post, or none any more."""


class NotTheAuthorError(Exception):
    """Somebody else wrote the post."""


class Repository(Protocol):
    """Posts and comments, whatever database they are in; for any number of threads.

    Every adapter passes the same tests. What a method has returned is on disk.
    """

    def newest(self, offset: int, limit: int) -> tuple[Sequence[Post], int]:
        """Posts, newest first, and how many there are in all."""
        ...

    def find(self, post_id: int) -> Post | None:
        """The post with this id."""
        ...

    def add(self, draft: PostDraft, announce: Announce) -> Post:
        """Keep a new post, and in the same write its event, to be sent: both or neither."""
        ...

    def change(self, post_id: int, changes: Mapping[str, str], at: datetime) -> Post | None:
        """Give the post another title, body or both; None when it has gone."""
        ...

    def remove(self, post_id: int) -> None:
        """Take the post away, and its comments with it; its event is sent all the same."""
        ...

    def comments(self, post_id: int, offset: int, limit: int) -> tuple[Sequence[Comment], int]:
        """A post's comments, oldest first, and how many there are in all."""
        ...

    def comment(self, draft: CommentDraft) -> Comment | None:
        """Keep a new comment; None when there is no such post, however lately it went."""
        ...

    def rename(self, event_id: str, user_id: int, name: str, at: datetime) -> None:
        """Have all that the user wrote and writes bear this name, unless a newer one is known.

        Once per event, whatever is killed. Raises NotNowError while it cannot be done: the
        database is away, or a move keeps it shut.
        """
        ...


def publish(
    repository: Repository, clock: Clock, writer: Writer, title: str, body: str, url: str | None
) -> Post:
    """Store a new post and tell of it; its picture, if it has one, is stored at `url` already."""
    draft = PostDraft(writer, title, body, url, clock())
    return repository.add(draft, lambda post: created(post, writer))


def created(post: Post, writer: Writer) -> Event[PostCreated]:
    """The event of a new post, for whoever mails its author."""
    author = Person(
        id=writer.id, name=post.author_name, email=writer.email, language=writer.language
    )
    return happened(PostCreated(post_id=post.id, title=post.title, author=author))


def find(repository: Repository, post_id: int) -> Post:
    """The post. Raises NoSuchPostError."""
    post = repository.find(post_id)
    if post is None:
        raise NoSuchPostError(post_id)
    return post


def own(repository: Repository, post_id: int, user_id: int) -> Post:
    """The post, if the user wrote it. Raises NoSuchPostError and NotTheAuthorError."""
    post = find(repository, post_id)
    if post.author_id != user_id:
        raise NotTheAuthorError(post_id)
    return post


def change(repository: Repository, clock: Clock, post: Post, changes: Mapping[str, str]) -> Post:
    """Give the post another title, body or both. Raises NoSuchPostError when it has just gone."""
    changed = repository.change(post.id, changes, clock())
    if changed is None:
        raise NoSuchPostError(post.id)
    return changed


def comment(
    repository: Repository, clock: Clock, writer: Writer, post_id: int, body: str
) -> Comment:
    """Store a comment. Raises NoSuchPostError."""
    written = repository.comment(CommentDraft(writer, post_id, body, clock()))
    if written is None:
        raise NoSuchPostError(post_id)
    return written
