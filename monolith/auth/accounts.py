"""What can be done with an account: register, log in, rename. Of HTTP it knows only refusals."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from monolith.auth.passwords import Passwords
from monolith.auth.tokens import unauthorized
from monolith.clock import Clock
from monolith.errors import ApiError, not_found
from monolith.models import User


def register(
    session: Session, passwords: Passwords, clock: Clock, *, email: str, password: str, name: str
) -> User:
    """Store a new user. Raises ApiError 409 when the address is taken."""
    user = User(email=email, name=name, password_hash=passwords.hash(password), created_at=clock())
    session.add(user)
    try:
        session.commit()
    except IntegrityError:
        session.rollback()
        if _of_email(session, email) is None:
            raise  # tables that are shut, for instance, are no fault of the client's
        raise ApiError(409, "email_taken", "There is an account with this address.") from None
    return user


def log_in(session: Session, passwords: Passwords, *, email: str, password: str) -> User:
    """The user with this address and password. Raises ApiError 401, the same for either fault."""
    user = _of_email(session, email)
    session.commit()  # bcrypt is slow on purpose: hold no connection meanwhile
    matched = passwords.match(password, user.password_hash if user else None)
    if user is None or not matched:
        raise ApiError(401, "bad_credentials", "The address or the password is wrong.")
    return user


def find(session: Session, user_id: int) -> User:
    """The user with this id. Raises ApiError 404."""
    user = session.get(User, user_id)
    if user is None:
        raise not_found("user")
    return user


def of_token(session: Session, user_id: int) -> User:
    """The user that a valid token speaks for. Raises ApiError 401 when there is none any more."""
    user = session.get(User, user_id)
    if user is None:
        raise unauthorized("The token is not valid.")
    return user


def rename(session: Session, user_id: int, name: str) -> User:
    """Give the user another name. Raises ApiError 404."""
    user = find(session, user_id)
    user.name = name
    session.commit()
    return user


def _of_email(session: Session, email: str) -> User | None:
    return session.scalars(select(User).where(User.email == email)).one_or_none()
