"""Posts and comments in SQL: SQLite or PostgreSQL. Each call is one transaction.

Whoever locks several rows begins with the author's, then posts, then comments: so a rename, a
writing and a deletion that meet wait for each other, and not in a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, Table, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from extracted.chassis.events import NotNowError
from extracted.chassis.events.processed import Processed
from extracted.chassis.outbox import Outbox
from extracted.posts.model import (
    Comment,
    CommentDraft,
    Post,
    PostDraft,
    Renaming,
    Writer,
    name_to_write,
)
from extracted.posts.service import Announce
from extracted.posts.tables import authors, comments, posts

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
# Both have it, under a name of their own: see `INSERT ... ON CONFLICT` of either manual.
INSERTS: Mapping[str, Callable[[Table], Any]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}


class SqlPosts:
    """See `Repository`."""

    def __init__(
        self, sessions: sessionmaker[Session], outbox: Outbox, processed: Processed
    ) -> None:
        self._sessions = sessions
        self._outbox = outbox
        self._processed = processed

    def newest(self, offset: int, limit: int) -> tuple[Sequence[Post], int]:
        """See `Repository`."""
        query = select(posts).order_by(posts.c.id.desc()).offset(offset).limit(limit)
        with self._sessions() as session:
            found = [_post(row) for row in session.execute(query)]
            return found, session.scalar(select(func.count()).select_from(posts)) or 0

    def find(self, post_id: int) -> Post | None:
        """See `Repository`."""
        with self._sessions() as session:
            return _found(session, post_id)

    def add(self, draft: PostDraft, announce: Announce) -> Post:
        """See `Repository`."""
        values: dict[str, Any] = {
            "author_id": draft.writer.id,
            "title": draft.title,
            "body": draft.body,
            "image_url": draft.image_url,
            "created_at": draft.at,
            "updated_at": draft.at,
        }
        with self._sessions.begin() as session:
            values["author_name"] = _name(session, draft.writer)
            post = Post(id=_inserted(session, posts, values), **values)
            self._outbox.record(session, announce(post))
        return post

    def change(self, post_id: int, changes: Mapping[str, str], at: datetime) -> Post | None:
        """See `Repository`."""
        these = update(posts).where(posts.c.id == post_id)
        with self._sessions.begin() as session:
            session.execute(these.values(**changes, updated_at=at))
            return _found(session, post_id)

    def remove(self, post_id: int) -> None:
        """See `Repository`. The database takes the comments away."""
        with self._sessions.begin() as session:
            session.execute(delete(posts).where(posts.c.id == post_id))

    def comments(self, post_id: int, offset: int, limit: int) -> tuple[Sequence[Comment], int]:
        """See `Repository`."""
        below = comments.c.post_id == post_id
        query = select(comments).where(below).order_by(comments.c.id).offset(offset).limit(limit)
        with self._sessions() as session:
            found = [_comment(row) for row in session.execute(query)]
            total = session.scalar(select(func.count()).select_from(comments).where(below))
            return found, total or 0

    def comment(self, draft: CommentDraft) -> Comment | None:
        """See `Repository`."""
        values: dict[str, Any] = {
            "post_id": draft.post_id,
            "author_id": draft.writer.id,
            "body": draft.body,
            "created_at": draft.at,
        }
        try:
            with self._sessions.begin() as session:
                if _found(session, draft.post_id) is None:
                    return None
                values["author_name"] = _name(session, draft.writer)
                return Comment(id=_inserted(session, comments, values), **values)
        except IntegrityError:
            if self.find(draft.post_id) is None:
                return None
            raise

    def rename(self, event_id: str, user_id: int, name: str, at: datetime) -> None:
        """See `Repository`."""
        try:
            with self._sessions.begin() as session:
                if self._processed.first_time(session, event_id):
                    _rename(session, user_id, Renaming(name, at))
        except DataError:
            raise  # of this event alone
        except SQLAlchemyError as error:
            raise NotNowError(f"The name of user {user_id} cannot be written: {error}") from error


def _name(session: Session, writer: Writer) -> str:
    """The name to write, which stays so until the transaction ends."""
    known = _locked(session, writer.id, Renaming(writer.name, NEVER), together=True)
    return name_to_write(writer.name, writer.told_at, known)


def _rename(session: Session, user_id: int, renamed: Renaming) -> None:
    known = _locked(session, user_id, Renaming(renamed.name, NEVER))
    if known.named_at > renamed.named_at:
        return
    told = update(authors).where(authors.c.user_id == user_id)
    session.execute(told.values(name=renamed.name, named_at=renamed.named_at))
    for table in (posts, comments):
        own = table.c.author_id == user_id
        session.execute(update(table).where(own).values(author_name=renamed.name))


def _locked(
    session: Session, user_id: int, otherwise: Renaming, *, together: bool = False
) -> Renaming:
    """What is known of the user, made if it is not; locked, `together` with other writers."""
    making = INSERTS[session.get_bind().dialect.name](authors)
    values = {"user_id": user_id, "name": otherwise.name, "named_at": otherwise.named_at}
    session.execute(making.values(values).on_conflict_do_nothing())
    this = select(authors).where(authors.c.user_id == user_id)
    row = session.execute(this.with_for_update(read=together)).one()
    return Renaming(row.name, row.named_at)


def _inserted(session: Session, table: Table, values: Mapping[str, Any]) -> int:
    added = session.execute(insert(table).values(**values).returning(table.c.id))
    return int(added.scalar_one())


def _found(session: Session, post_id: int) -> Post | None:
    row = session.execute(select(posts).where(posts.c.id == post_id)).one_or_none()
    return None if row is None else _post(row)


def _post(row: Row[Any]) -> Post:
    return Post(**row._mapping)


def _comment(row: Row[Any]) -> Comment:
    return Comment(**row._mapping)
