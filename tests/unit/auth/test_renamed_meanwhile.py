"""A user who is renamed while a password is being checked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from flask import Flask

from extracted.auth import service
from extracted.auth.issuing import Issuer
from extracted.auth.keyfolder import KeyFolder, make
from extracted.auth.keyring import Lives
from extracted.auth.routes import Parts, blueprint
from extracted.chassis.tokens import TokenVerifier
from extracted.posts.model import Renaming, name_to_write
from tests.users_in_memory import UsersInMemory

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ACCOUNT = {"email": "a@b.c", "password": "secret", "name": "Ann"}


class Open:
    def admit(self, *who: str) -> None:
        pass

    def forget(self, *who: str) -> None:
        pass


@dataclass
class Busy:
    """Checks passwords for so long that the user has another name by then."""

    users: UsersInMemory
    now: datetime = NOON
    renamed_at: datetime = NOON

    def clock(self) -> datetime:
        return self.now

    def hash(self, password: str) -> str:
        return password

    def match(self, password: str, kept: str | None) -> bool:
        self.now += timedelta(seconds=1)
        self.renamed_at = self.now
        service.rename(self.users, 1, "Anna")
        self.now += timedelta(seconds=30)
        return password == kept


def claims_of_a_login(folder: Path) -> tuple[dict[str, Any], Busy]:
    make(folder, NOON)
    users = UsersInMemory()
    busy = Busy(users)
    lives = Lives(timedelta(minutes=2), timedelta(days=1))
    issuer = Issuer(KeyFolder(folder), lives, busy.clock)
    service.register(users, busy, Open(), busy.clock, client="192.0.2.1", **ACCOUNT)
    app = Flask(__name__)
    parts = Parts(users, busy, Open(), Open(), issuer, TokenVerifier(None, issuer), (), busy.clock)
    app.register_blueprint(blueprint(parts))
    answer = app.test_client().post("/login", json=ACCOUNT).json
    return jwt.decode(answer["token"], options={"verify_signature": False}), busy


def test_the_token_does_not_seem_to_know_better_than_the_rename(tmp_path: Path) -> None:
    claims, busy = claims_of_a_login(tmp_path)
    told_at = datetime.fromtimestamp(claims["iat"], UTC)
    renamed = Renaming("Anna", busy.renamed_at)
    assert name_to_write(claims["name"], told_at, renamed) == "Anna"
