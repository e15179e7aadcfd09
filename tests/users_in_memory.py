"""Users without a database, for the auth service's port."""

from __future__ import annotations

import threading
from dataclasses import asdict, replace
from datetime import timedelta

from extracted.auth.service import Account, EmailTakenError, EventOf, User
from extracted.chassis.events.envelope import Event
from extracted.chassis.events.payloads import Payload


class UsersInMemory:
    """Keeps users in a dict; `told` are the events recorded with them, in order."""

    def __init__(self) -> None:
        self.told: list[Event[Payload]] = []
        self._kept: dict[int, User] = {}
        self._lock = threading.Lock()

    def add(self, account: Account, event: EventOf) -> User:
        with self._lock:
            if self.by_email(account.email):
                raise EmailTakenError
            return self._keep(User(id=len(self._kept) + 1, **asdict(account)), event)

    def by_email(self, email: str) -> User | None:
        return next((user for user in self._kept.values() if user.email == email), None)

    def by_id(self, user_id: int) -> User | None:
        return self._kept.get(user_id)

    def rename(self, user_id: int, name: str, event: EventOf) -> User | None:
        with self._lock:
            user = self.by_id(user_id)
            return user and self._keep(replace(user, name=name), event)

    def _keep(self, user: User, event: EventOf) -> User:
        happened = event(user)
        earlier = [each.occurred_at for each in self.told if each.key == happened.key]
        later = max([happened.occurred_at, *(at + timedelta(milliseconds=1) for at in earlier)])
        self.told.append(replace(happened, occurred_at=later))
        self._kept[user.id] = user
        return user
