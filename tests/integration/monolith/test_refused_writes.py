"""Tables that take no writes: that is told as a fault here, and never as one of the client's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import create_engine, text

from monolith.app import create_app
from monolith.db import upgrade
from tests.blog import bearer, settings, sqlite_url

ANN = {"email": "ann@example.org", "password": "password1", "name": "Ann"}
PAYMENT = {"amount": 100, "currency": "usd", "payment_method": "pm_card_visa"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    """A blog with a user and a post, whose tables have been shut."""
    url = sqlite_url(tmp_path)
    upgrade(url)
    app = create_app(settings(url))
    client = app.test_client()
    client.post("/register", json=ANN)
    client.post("/posts", json={"title": "t", "body": "b"}, headers=bearer(1))
    shut(url)
    yield client
    app.extensions["close"]()


def shut(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for table in ("users", "comments", "payments"):
            stop = f"BEGIN SELECT RAISE(ABORT, '{table} is shut'); END"
            connection.execute(text(f"CREATE TRIGGER s_{table} BEFORE INSERT ON {table} {stop}"))
    engine.dispose()


@pytest.mark.parametrize(
    ("path", "body", "table"),
    [
        ("/register", {**ANN, "email": "new@example.org"}, "users"),
        ("/comments", {"post_id": 1, "body": "x"}, "comments"),
        ("/payment", PAYMENT, "payments"),
    ],
)
def test_a_write_that_the_table_refuses_is_a_fault_and_says_so_in_the_log(
    client: FlaskClient,
    path: str,
    body: dict[str, object],
    table: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = client.post(path, json=body, headers={**bearer(1), "Idempotency-Key": "k"})
    assert (answer.status_code, answer.json["error"]["code"]) == (500, "internal_error")
    assert f"{table} is shut" in caplog.text
    assert "NoResultFound" not in caplog.text


def test_an_address_that_is_taken_is_told_so_also_then(client: FlaskClient) -> None:
    assert client.post("/register", json=ANN).status_code == 409
