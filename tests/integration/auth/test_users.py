"""Users and the events that tell of them: the same promises in memory and in each database."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from extracted.auth import service
from extracted.auth.models import OUTBOX
from extracted.auth.repository import SqlUsers
from extracted.auth.service import Account, EmailTakenError, EventOf, User, Users
from extracted.chassis.database import Database
from extracted.chassis.events.envelope import Event, happened, read
from extracted.chassis.events.payloads import Payload, Person, UserRegistered, UserRenamed
from extracted.chassis.outbox import Outbox
from extracted.chassis.schema import upgrade
from tests.services import scratch_database
from tests.users_in_memory import UsersInMemory

NOON = datetime(2026, 1, 31, 12, 0, 0, 123_000, tzinfo=UTC)


def someone() -> Account:
    email = f"{uuid.uuid4().hex}@example.org"
    return Account(email=email, name="Ann Ünicode 🙂", password_hash="h" * 60, created_at=NOON)


def welcome(user: User) -> Event[Payload]:
    return happened(UserRegistered(user=Person(id=user.id, name=user.name, email=user.email)))


class Desk:
    """Users in a database, and what its outbox holds."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.users: Users = SqlUsers(self.database.sessions, Outbox(OUTBOX))

    def told(self, user_id: int) -> list[Event[Payload]]:
        """The events of this user that wait to be sent, in order."""
        with Session(self.database.engine) as session:
            waiting = select(OUTBOX.c.body).where(OUTBOX.c.order_key == f"user:{user_id}")
            bodies = session.scalars(waiting.order_by(OUTBOX.c.id)).all()
        return [read(body.encode()) for body in bodies]


class DeskInMemory:
    """The same without a database."""

    def __init__(self) -> None:
        self.users = UsersInMemory()

    def told(self, user_id: int) -> list[Event[Payload]]:
        return [event for event in self.users.told if event.key == f"user:{user_id}"]


@pytest.fixture(
    params=[
        "memory",
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.services),
        pytest.param("mysql", marks=pytest.mark.services),
    ]
)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk | DeskInMemory]:
    with ExitStack() as stack:
        if request.param == "memory":
            yield DeskInMemory()
            return
        url = f"sqlite:///{tmp_path / 'auth.db'}"
        if request.param != "sqlite":
            url = stack.enter_context(scratch_database(request.param))
        upgrade(url, "auth")
        desk = Desk(url)
        stack.callback(desk.database.close)
        yield desk


def test_a_user_is_found_as_it_was_added(desk: Desk | DeskInMemory) -> None:
    account = someone()
    user = desk.users.add(account, welcome)
    assert (user.email, user.name, user.created_at) == (account.email, account.name, NOON)
    assert desk.users.by_id(user.id) == desk.users.by_email(account.email) == user
    assert desk.users.by_id(2**31 - 1) is None
    assert desk.users.by_email(account.email.upper()) is None


def test_a_user_and_the_event_are_kept_together_or_not_at_all(desk: Desk | DeskInMemory) -> None:
    account = someone()

    def fails(user: User) -> Event[Payload]:
        raise RuntimeError(user.id)

    with pytest.raises(RuntimeError):
        desk.users.add(account, fails)
    assert desk.users.by_email(account.email) is None
    user = desk.users.add(account, welcome)
    with pytest.raises(RuntimeError):
        desk.users.rename(user.id, "Anna", fails)
    assert desk.users.by_id(user.id) == user
    (event,) = desk.told(user.id)
    assert event.payload == UserRegistered(
        user=Person(id=user.id, name=account.name, email=account.email)
    )


def test_an_address_is_taken_once_however_many_want_it_at_once(desk: Desk | DeskInMemory) -> None:
    account = someone()

    def add(_: int) -> int | None:
        try:
            return desk.users.add(account, welcome).id
        except EmailTakenError:
            return None

    with ThreadPoolExecutor(8) as threads:
        made = [user_id for user_id in threads.map(add, range(8)) if user_id is not None]
    assert len(made) == 1
    assert len(desk.told(made[0])) == 1


def test_renames_at_once_are_told_in_the_order_in_which_they_were_kept(
    desk: Desk | DeskInMemory,
) -> None:
    user = desk.users.add(someone(), welcome)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: service.rename(desk.users, user.id, f"Ann {n % 3}"), range(40)))
    told = desk.told(user.id)[1:]
    assert len(told) == 40
    kept = desk.users.by_id(user.id)
    assert kept is not None
    assert told[-1].payload == UserRenamed(user_id=user.id, name=kept.name)
    moments = [event.occurred_at for event in told]
    assert moments == sorted(moments)


def test_a_rename_on_a_host_whose_clock_is_behind_is_told_as_the_newer_one(
    desk: Desk | DeskInMemory,
) -> None:
    user = desk.users.add(someone(), welcome)

    def at(moment: datetime) -> EventOf:
        return lambda user: happened(UserRenamed(user_id=user.id, name=user.name), at=moment)

    ahead = datetime.now(UTC) + timedelta(seconds=8)
    desk.users.rename(user.id, "first", at(ahead))
    desk.users.rename(user.id, "second", at(ahead - timedelta(seconds=5)))
    first, second = desk.told(user.id)[1:]
    assert isinstance(second.payload, UserRenamed)
    assert second.payload.name == "second"
    assert first.occurred_at == ahead
    assert second.occurred_at == ahead + timedelta(milliseconds=1)


def test_nobody_is_renamed_and_nothing_told_of_it(desk: Desk | DeskInMemory) -> None:
    assert desk.users.rename(2**31 - 1, "Nobody", welcome) is None
    assert desk.told(2**31 - 1) == []
