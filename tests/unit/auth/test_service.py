"""The use cases, with users in a dict and hashes that are counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from extracted.auth import service
from extracted.auth.service import (
    BadCredentialsError,
    EmailTakenError,
    NoSuchUserError,
    TooManyLoginsError,
    TooManyRegistrationsError,
    User,
)
from extracted.chassis.events.payloads import Person, UserRegistered, UserRenamed
from tests.users_in_memory import UsersInMemory

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@dataclass
class PlainHashes:
    checks: int = 0

    def hash(self, password: str) -> str:
        return f"hash of {password}"

    def match(self, password: str, kept: str | None) -> bool:
        self.checks += 1
        return kept == self.hash(password)


@dataclass
class Gate:
    """Admits until told not to."""

    shut: bool = False
    told: list[tuple[str, str, str]] = field(default_factory=list)

    def admit(self, email: str, client: str) -> None:
        self.told.append(("admit", email, client))
        if self.shut:
            raise TooManyLoginsError(7)

    def forget(self, email: str, client: str) -> None:
        self.told.append(("forget", email, client))


@dataclass
class Door:
    """Lets people register until told not to."""

    shut: bool = False
    told: list[str] = field(default_factory=list)

    def admit(self, client: str) -> None:
        self.told.append(client)
        if self.shut:
            raise TooManyRegistrationsError(7)


@dataclass
class Desk:
    users: UsersInMemory = field(default_factory=UsersInMemory)
    hashes: PlainHashes = field(default_factory=PlainHashes)
    gate: Gate = field(default_factory=Gate)
    door: Door = field(default_factory=Door)

    def register(self, email: str = "a@b.c") -> User:
        return service.register(
            self.users,
            self.hashes,
            self.door,
            lambda: NOON,
            email=email,
            password="secret",
            name="Ann",
            client="192.0.2.7",
        )

    def log_in(self, email: str = "a@b.c", password: str = "secret") -> User:
        return service.log_in(
            self.users, self.hashes, self.gate, email=email, password=password, client="192.0.2.7"
        )


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_who_registers_is_told_of_as_a_person_who_can_be_written_to(desk: Desk) -> None:
    user = desk.register()
    assert (user.password_hash, user.created_at) == ("hash of secret", NOON)
    (event,) = desk.users.told
    assert event.payload == UserRegistered(user=Person(id=user.id, name="Ann", email="a@b.c"))
    with pytest.raises(EmailTakenError):
        desk.register()


def test_who_registers_past_the_limit_is_refused_before_anything_is_done(desk: Desk) -> None:
    desk.door.shut = True
    with pytest.raises(TooManyRegistrationsError):
        desk.register()
    assert desk.door.told == ["192.0.2.7"]
    assert desk.users.told == []


def test_a_new_name_is_told_of(desk: Desk) -> None:
    user = desk.register()
    assert service.rename(desk.users, user.id, "Anna").name == "Anna"
    assert desk.users.told[-1].payload == UserRenamed(user_id=user.id, name="Anna")
    with pytest.raises(NoSuchUserError):
        service.rename(desk.users, 99, "Nobody")


def test_known_and_unknown_users_cost_the_same_one_check_of_a_password(desk: Desk) -> None:
    desk.register()
    for email, password in (("a@b.c", "wrong"), ("nobody@b.c", "secret")):
        before = desk.hashes.checks
        with pytest.raises(BadCredentialsError):
            desk.log_in(email, password)
        assert desk.hashes.checks == before + 1
    assert desk.log_in().id == 1


def test_a_try_past_the_limit_is_refused_before_anything_is_looked_at(desk: Desk) -> None:
    desk.register()
    desk.gate.shut = True
    for email in ("a@b.c", "nobody@b.c"):
        with pytest.raises(TooManyLoginsError):
            desk.log_in(email)
    assert desk.hashes.checks == 0


def test_only_a_login_that_succeeds_ends_the_count(desk: Desk) -> None:
    desk.register()
    with pytest.raises(BadCredentialsError):
        desk.log_in(password="wrong")
    desk.log_in()
    tried = ("a@b.c", "192.0.2.7")
    assert desk.gate.told == [("admit", *tried), ("admit", *tried), ("forget", *tried)]
