"""Tokens that the auth service has signed, at the monolith: before, after and undone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert

from monolith.app import create_app
from monolith.clock import utc_now
from monolith.db import open_engine, upgrade
from monolith.errors import ApiError
from monolith.models import User
from monolith.seams.auth import WAIT_S, Arrivals
from monolith.seams.switch import Switch
from tests.blog import bearer, settings, sqlite_url
from tests.integration.chassis.misbehaving import Misbehaving, answer
from tests.issuer import Signer, jwks

SIGNER = Signer()
POST = {"title": "T", "body": "B"}


def user(user_id: int) -> dict[str, object]:
    facts = {"email": f"{user_id}@example.org", "name": "Ann", "password_hash": "h" * 60}
    return {"id": user_id, "created_at": utc_now(), **facts}


@dataclass
class Blog:
    url: str
    seams_file: Path
    client: FlaskClient

    def switch(self, mode: str) -> None:
        part = self.seams_file.with_suffix(".part")
        part.write_text(json.dumps({"auth": mode}))
        part.replace(self.seams_file)
        assert self.client.get("/health").json["seams"]["auth"] == mode

    def arrive(self, user_id: int) -> None:
        """Write a user's row, as the reverse tail does."""
        engine = open_engine(self.url)
        with engine.begin() as connection:
            connection.execute(insert(User).values(**user(user_id)))
        engine.dispose()

    def post(self, token: str) -> Any:
        return self.client.post("/posts", json=POST, headers={"Authorization": f"Bearer {token}"})


@dataclass
class Stage:
    folder: Path
    stack: ExitStack = field(default_factory=ExitStack)

    def blog(self, jwks_url: str | None) -> Blog:
        url, seams = sqlite_url(self.folder), self.folder / "seams.json"
        upgrade(url)
        cache = self.folder / "keys.json"
        app = create_app(settings(url, seams_file=seams, auth_jwks_url=jwks_url, jwks_cache=cache))
        self.stack.callback(app.extensions["close"])
        return Blog(url, seams, app.test_client())

    def issuer(self) -> Misbehaving:
        return self.stack.enter_context(Misbehaving(answer(200, jwks(SIGNER))))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    with stage.stack:
        yield stage


def told(response: Any) -> tuple[int, str]:
    return response.status_code, response.json["error"]["code"]


def test_both_kinds_of_token_are_good_whoever_answers_for_accounts(stage: Stage) -> None:
    blog = stage.blog(stage.issuer().url)
    blog.arrive(1)
    for mode in ("local", "remote", "local"):
        blog.switch(mode)
        assert blog.post(SIGNER.token(1)).status_code == 201
        assert blog.client.post("/posts", json=POST, headers=bearer(1)).status_code == 201
        assert blog.client.post("/verify", json={"token": SIGNER.token(1)}).json["user_id"] == 1


def test_what_is_wrong_with_a_token_is_told_as_ever(stage: Stage) -> None:
    issuer = stage.issuer()
    blog = stage.blog(issuer.url)
    blog.arrive(1)
    for token in (Signer("k1").token(1), Signer("other").token(1), "a.b.c", ""):
        refused = blog.post(token)
        assert told(refused) == (401, "invalid_token")
        assert refused.headers["WWW-Authenticate"] == "Bearer"
    expired = blog.post(SIGNER.token(1, lives_s=-1))
    assert expired.json["error"]["message"] == "The token has expired; log in again."


def test_without_the_services_address_its_tokens_are_no_tokens(stage: Stage) -> None:
    blog = stage.blog(None)
    blog.arrive(1)
    assert told(blog.post(SIGNER.token(1))) == (401, "invalid_token")


def test_tokens_go_on_while_the_service_is_down_also_over_a_restart(stage: Stage) -> None:
    issuer = stage.issuer()
    blog = stage.blog(issuer.url)
    blog.arrive(1)
    assert blog.post(SIGNER.token(1)).status_code == 201
    issuer.deeds = [answer(500)]
    assert blog.post(SIGNER.token(1)).status_code == 201
    again = stage.blog(issuer.url)
    assert again.post(SIGNER.token(1)).status_code == 201
    unknown = again.post(Signer("new").token(1))
    assert told(unknown) == (503, "keys_unavailable")
    assert unknown.headers["Retry-After"] == "2"


def test_while_the_monolith_answers_for_accounts_a_missing_user_is_none(stage: Stage) -> None:
    blog = stage.blog(stage.issuer().url)
    blog.switch("local")
    assert told(blog.post(SIGNER.token(7))) == (401, "invalid_token")
    blog.switch("remote")
    assert told(blog.client.post("/posts", json=POST, headers=bearer(7))) == (401, "invalid_token")


class Time:
    """A clock that moves when somebody sleeps; `then` happens at the third time."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.now = 0.0
        self._naps = 0
        self._then = then

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self._naps += 1
        if self._naps == 3:
            self._then()


def waiting(stage: Stage, blog: Blog, time: Time) -> Arrivals:
    blog.switch("remote")
    engine = open_engine(blog.url)
    stage.stack.callback(engine.dispose)
    return Arrivals(Switch(blog.seams_file), engine, clock=time, sleep=time.sleep)


def test_a_user_whose_row_is_on_its_way_is_waited_for(stage: Stage) -> None:
    blog = stage.blog(None)
    time = Time(then=lambda: blog.arrive(7))
    arrivals = waiting(stage, blog, time)
    arrivals.wait_for(7)
    assert 0 < time.now < WAIT_S
    before = time.now
    arrivals.wait_for(7)
    assert time.now == before


def test_a_row_that_does_not_come_is_waited_for_two_seconds(stage: Stage) -> None:
    blog, time = stage.blog(None), Time()
    with pytest.raises(ApiError, match="not known here yet"):
        waiting(stage, blog, time).wait_for(7)
    assert WAIT_S <= time.now < WAIT_S + 0.1


def test_a_user_who_is_not_known_yet_is_a_503_before_anything_is_done(stage: Stage) -> None:
    blog = stage.blog(stage.issuer().url)
    blog.switch("remote")
    refused = blog.post(SIGNER.token(7))
    assert told(refused) == (503, "user_not_yet_known")
    assert refused.headers["Retry-After"] == "2"
    blog.arrive(7)
    assert blog.post(SIGNER.token(7)).json["author"] == {"id": 7, "name": "Ann"}
