"""A statement that failed is logged without its values: a hash of a password may be one."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import create_engine, text

import monolith.app
import monolith.db
from extracted.auth.app import create_app
from tests.blog import settings, sqlite_url
from tests.integration.auth.conftest import settings_in

ANN = {"email": "ann@example.org", "password": "password1", "name": "Ann"}


def service(folder: Path) -> tuple[Flask, str]:
    its = settings_in(folder)
    return create_app(its), its.database_url


def blog(folder: Path) -> tuple[Flask, str]:
    url = sqlite_url(folder)
    monolith.db.upgrade(url)
    return monolith.app.create_app(settings(url)), url


@pytest.mark.parametrize("build", [service, blog])
def test_an_unexpected_failure_logs_no_address_and_no_hash(
    build: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app, url = build(tmp_path)  # type: ignore[operator]
    drop(url, "users")
    answer = app.test_client().post("/register", json=ANN)
    app.extensions["close"]()
    assert answer.status_code == 500
    assert "no such table: users" in caplog.text
    assert "ann@example.org" not in caplog.text
    assert "$2b$" not in caplog.text


def drop(url: str, table: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"DROP TABLE {table}"))
    engine.dispose()
