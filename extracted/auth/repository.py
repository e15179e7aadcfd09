"""Users in an SQL database, each change with its event in one transaction.

Every call has a session of its own, so that no connection is held while bcrypt is at work.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from extracted.auth.models import UserRow
from extracted.auth.service import Account, EmailTakenError, EventOf, User
from extracted.chassis.outbox import Outbox


class SqlUsers:
    """See `service.Users`."""

    def __init__(self, sessions: sessionmaker[Session], outbox: Outbox) -> None:
        self._sessions = sessions
        self._outbox = outbox

    def add(self, account: Account, event: EventOf) -> User:
        """See `service.Users`."""
        row = UserRow(
            email=account.email,
            name=account.name,
            password_hash=account.password_hash,
            created_at=account.created_at,
        )
        try:
            with self._sessions.begin() as session:
                session.add(row)
                session.flush()
                user = _user(row)
                self._outbox.record(session, event(user))
        except IntegrityError:
            if self.by_email(account.email) is None:
                raise  # an id that is given out twice, for instance, is no fault of the client's
            raise EmailTakenError from None
        return user

    def by_email(self, email: str) -> User | None:
        """See `service.Users`."""
        return self._one(UserRow.email == email)

    def by_id(self, user_id: int) -> User | None:
        """See `service.Users`."""
        return self._one(UserRow.id == user_id)

    def rename(self, user_id: int, name: str, event: EventOf) -> User | None:
        """See `service.Users`."""
        with self._sessions.begin() as session:
            # Also when the name is the same: the row's lock keeps a user's events in order.
            session.execute(update(UserRow).where(UserRow.id == user_id).values(name=name))
            row = session.get(UserRow, user_id)
            if row is None:
                return None
            user = _user(row)
            self._outbox.record(session, self._outbox.after_last(session, event(user)))
        return user

    def _one(self, condition: ColumnElement[bool]) -> User | None:
        with self._sessions() as session:
            row = session.scalars(select(UserRow).where(condition)).one_or_none()
            return None if row is None else _user(row)


def _user(row: UserRow) -> User:
    return User(
        id=row.id,
        email=row.email,
        name=row.name,
        password_hash=row.password_hash,
        created_at=row.created_at,
    )
