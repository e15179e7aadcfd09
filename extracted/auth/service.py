"""What can be done with an account: register, log in, rename. Knows neither HTTP nor a database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from extracted.chassis.clock import Clock
from extracted.chassis.events.envelope import Event, happened
from extracted.chassis.events.payloads import Payload, Person, UserRegistered, UserRenamed


class EmailTakenError(Exception):
    """There is an account with this address already."""


class BadCredentialsError(Exception):
    """The address or the password is wrong; which of them is not told."""


class NoSuchUserError(Exception):
    """No user has this id."""


class TooManyTriesError(Exception):
    """There were too many; the next one may be made after `retry_after_s`."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many tries; again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class TooManyLoginsError(TooManyTriesError):
    """There were too many tries to log in to an account, or from an address."""


class TooManyRegistrationsError(TooManyTriesError):
    """There were too many tries to register from an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What is known of somebody who registers. `email` is in lower case."""

    email: str
    name: str
    password_hash: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Account):
    """Somebody with an account."""

    id: int


EventOf = Callable[[User], Event[Payload]]


class Users(Protocol):
    """Keeps users. `event` makes what is recorded in the same transaction, after the row."""

    def add(self, account: Account, event: EventOf) -> User:
        """Keep a new user. Raises EmailTakenError."""
        ...

    def by_email(self, email: str) -> User | None:
        """The user with this address."""
        ...

    def by_id(self, user_id: int) -> User | None:
        """The user with this id."""
        ...

    def rename(self, user_id: int, name: str, event: EventOf) -> User | None:
        """Give the user another name; None when there is no such user.

        The event is dated behind the user's last one, whatever this host's clock says.
        """
        ...


class PasswordHashes(Protocol):
    """Makes hashes of passwords and checks passwords by them."""

    def hash(self, password: str) -> str:
        """The hash to keep."""
        ...

    def match(self, password: str, kept: str | None) -> bool:
        """Whether the password belongs to the hash; takes as long when there is none."""
        ...


class LoginLimit(Protocol):
    """Bounds how often it is tried to log in: to an account, whether or not there is one, and from
    a client, to whatever accounts."""

    def admit(self, email: str, client: str) -> None:
        """Count a try from this address of a client. Raises TooManyLoginsError."""
        ...

    def forget(self, email: str, client: str) -> None:
        """Count no longer what was tried: somebody got in."""
        ...


class RegisterLimit(Protocol):
    """Bounds how often it is tried to register: each try costs a hash, and tells of an address
    whether there is an account."""

    def admit(self, client: str) -> None:
        """Count a try of a client. Raises TooManyRegistrationsError."""
        ...


def register(
    users: Users,
    passwords: PasswordHashes,
    limit: RegisterLimit,
    clock: Clock,
    *,
    email: str,
    password: str,
    name: str,
    client: str,
) -> User:
    """Keep a new user and tell of them; `client` is the network address that asks.

    Raises EmailTakenError, and TooManyRegistrationsError before anything is done.
    """
    limit.admit(client)
    hashed = passwords.hash(password)
    account = Account(email=email, name=name, password_hash=hashed, created_at=clock())
    return users.add(account, _registered)


def log_in(
    users: Users,
    passwords: PasswordHashes,
    limit: LoginLimit,
    *,
    email: str,
    password: str,
    client: str,
) -> User:
    """The user with this address and password; `client` is the network address that asks.

    Raises BadCredentialsError, after the same time for either fault, and TooManyLoginsError, which
    comes before anything is looked up: it tells neither whether there is an account nor whether
    the password was right.
    """
    limit.admit(email, client)
    user = users.by_email(email)
    matched = passwords.match(password, user.password_hash if user else None)
    if user is None or not matched:
        raise BadCredentialsError
    limit.forget(email, client)
    return user


def find(users: Users, user_id: int) -> User:
    """The user with this id. Raises NoSuchUserError."""
    user = users.by_id(user_id)
    if user is None:
        raise NoSuchUserError
    return user


def rename(users: Users, user_id: int, name: str) -> User:
    """Give the user another name and tell of it. Raises NoSuchUserError."""
    user = users.rename(user_id, name, _renamed)
    if user is None:
        raise NoSuchUserError
    return user


def _registered(user: User) -> Event[Payload]:
    return happened(UserRegistered(user=Person(id=user.id, name=user.name, email=user.email)))


def _renamed(user: User) -> Event[Payload]:
    return happened(UserRenamed(user_id=user.id, name=user.name))
