"""The auth service over each database, in this process, with keys and events of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from extracted.auth.app import create_app
from extracted.auth.keyfolder import make
from extracted.auth.settings import Settings
from extracted.chassis.clock import Clock, utc_now
from extracted.chassis.schema import upgrade
from tests.blog import SECRET

Serve = Callable[..., "Service"]


@dataclass(frozen=True)
class Service:
    """The service, asked without a socket."""

    app: Flask
    client: FlaskClient
    settings: Settings

    def log_in(self, account: dict[str, str], **more: Any) -> str:
        """Register if need be, log in; gives the token."""
        self.client.post("/register", json=account)
        return self.client.post("/login", json=account, **more).json["token"]


@pytest.fixture(scope="module")
def auth_url(database_url: str) -> str:
    """A database of each kind with the service's schema."""
    upgrade(database_url, "auth")
    return database_url


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a first key, on SQLite."""
    return settings_in(tmp_path)


@pytest.fixture
def serve(settings: Settings) -> Iterator[Serve]:
    """Builds services, closed with the test; `more` replaces settings."""
    with ExitStack() as stack:

        def build(clock: Clock = utc_now, **more: Any) -> Service:
            mine = replace(settings, **more)
            app = create_app(mine, clock)
            stack.callback(app.extensions["close"])
            return Service(app, app.test_client(), mine)

        yield build


def settings_in(folder: Path) -> Settings:
    """Settings with a first key, on an SQLite file with the service's schema."""
    make(folder / "keys", utc_now())
    url = f"sqlite:///{folder / 'auth.db'}"
    upgrade(url, "auth")
    return Settings(
        database_url=url,
        broker_url=f"sqlite:///{folder / 'events.db'}",
        signing_keys=folder / "keys",
        jwt_secret=SECRET,
        bcrypt_rounds=4,
    )


def someone(name: str = "Ann") -> dict[str, str]:
    """An account to register."""
    return {"email": f"{name.lower()}@example.org", "password": "correct horse", "name": name}
