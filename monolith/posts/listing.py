"""Posts and comments in the database: find, list, write, change, delete. Knows nothing of HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from monolith.auth.accounts import of_token
from monolith.clock import Clock
from monolith.errors import ApiError, not_found
from monolith.inputs import Page
from monolith.models import Comment, Post


def newest(session: Session, page: Page) -> tuple[Sequence[Post], int]:
    """One page of posts, newest first, and how many there are in all."""
    query = select(Post).order_by(Post.id.desc()).limit(page.size).offset(page.offset)
    return session.scalars(query).all(), session.scalar(select(func.count(Post.id))) or 0


def find(session: Session, post_id: int) -> Post:
    """The post with this id. Raises ApiError 404."""
    post = session.get(Post, post_id)
    if post is None:
        raise not_found("post")
    return post


def own(session: Session, post_id: int, user_id: int) -> Post:
    """The post, if the user wrote it. Raises ApiError 404, or 403 when somebody else wrote it."""
    post = find(session, post_id)
    if post.author_id != user_id:
        raise ApiError(403, "forbidden", "Only its author can change this post.")
    return post


def write(
    session: Session, clock: Clock, *, author_id: int, title: str, body: str, image_url: str | None
) -> Post:
    """Store a new post by a user with a valid token."""
    now = clock()
    post = Post(
        author=of_token(session, author_id),
        title=title,
        body=body,
        image_url=image_url,
        created_at=now,
        updated_at=now,
    )
    session.add(post)
    session.commit()
    return post


def change(session: Session, clock: Clock, post: Post, changes: dict[str, str]) -> Post:
    """Give a post another title, body or both."""
    for name, value in changes.items():
        setattr(post, name, value)
    post.updated_at = clock()
    session.commit()
    return post


def delete(session: Session, post: Post) -> None:
    """Delete a post; the database deletes its comments. Its image stays at its address."""
    session.delete(post)
    session.commit()


def comments(session: Session, post_id: int, page: Page) -> tuple[Sequence[Comment], int]:
    """One page of a post's comments, oldest first, and how many there are in all."""
    on_post = Comment.post_id == post_id
    query = select(Comment).where(on_post).order_by(Comment.id)
    total = session.scalar(select(func.count(Comment.id)).where(on_post)) or 0
    return session.scalars(query.limit(page.size).offset(page.offset)).all(), total


def comment(session: Session, clock: Clock, *, post_id: int, author_id: int, body: str) -> Comment:
    """Store a comment. Raises ApiError 404 when there is no such post, however lately it went."""
    find(session, post_id)
    written = Comment(
        post_id=post_id, author=of_token(session, author_id), body=body, created_at=clock()
    )
    session.add(written)
    try:
        session.commit()
    except IntegrityError:
        session.rollback()
        if session.scalar(select(Post.id).where(Post.id == post_id)) is not None:
            raise  # tables that are shut, for instance, are no fault of the client's
        raise not_found("post") from None
    return written
