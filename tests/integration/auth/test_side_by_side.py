"""The service answers as the monolith does: the same requests, one after the other, to both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from extracted.auth.app import create_app as create_service
from monolith.app import create_app
from monolith.db import upgrade
from tests import blog
from tests.blog import bearer, sqlite_url
from tests.integration.auth.conftest import settings_in, someone

HEADERS = ("Content-Type", "WWW-Authenticate", "Allow", "Retry-After", "Cache-Control", "Location")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
JSON = {"Content-Type": "application/json"}
ANN = someone()
EXPIRED = bearer(1, lives_s=-1)
Request = tuple[str, str, dict[str, Any]]


def told(body: object, **headers: str) -> dict[str, Any]:
    return {"json": body, "headers": headers}


def raw(body: bytes) -> dict[str, Any]:
    return {"data": body, "headers": JSON}


def changed(**change: object) -> dict[str, Any]:
    return told({**someone("Bob"), **change})


# On both sides Ann is user 1, and there is no other.
REQUESTS: dict[str, Request] = {
    "register": ("POST", "/register", told(someone("Bob"))),
    "register, spaces and capitals": (
        "POST",
        "/register",
        changed(email=" EVE@Example.ORG ", name=" Eve "),
    ),
    "register, taken": ("POST", "/register", told(ANN)),
    "register, taken in capitals": ("POST", "/register", told({**ANN, "email": "ANN@example.org"})),
    "register, nothing": ("POST", "/register", told({})),
    "register, all wrong": ("POST", "/register", changed(email=5, name="", password="short")),
    "register, no address": ("POST", "/register", changed(email="bob@localhost")),
    "register, name too long": ("POST", "/register", changed(name="x" * 101)),
    "register, nul byte": ("POST", "/register", changed(name="a\0b")),
    "register, lone surrogate": ("POST", "/register", raw(b'{"name": "\\ud800"}')),
    "register, password of 72 bytes": (
        "POST",
        "/register",
        changed(email="long@example.org", password="x" * 72),
    ),
    "register, password of 73 bytes": ("POST", "/register", changed(password="x" * 73)),
    "register, password of 74 bytes in 37": ("POST", "/register", changed(password="ü" * 37)),
    "register, no JSON": ("POST", "/register", {"data": "email=x"}),
    "register, broken JSON": ("POST", "/register", raw(b"{")),
    "register, a list": ("POST", "/register", raw(b"[]")),
    "register, deep": ("POST", "/register", raw(b"[" * 100_000)),
    "register, not UTF-8": ("POST", "/register", raw(b"\xff")),
    "register, too large": ("POST", "/register", raw(b'{"x": "' + b"x" * 1_100_000 + b'"}')),
    "log in": ("POST", "/login", told(ANN)),
    "log in, capitals and spaces": ("POST", "/login", told({**ANN, "email": " ANN@Example.org "})),
    "log in, wrong": ("POST", "/login", told({**ANN, "password": "wrong"})),
    "log in, nobody": ("POST", "/login", told({**ANN, "email": "nobody@example.org"})),
    "log in, longer than any": ("POST", "/login", told({**ANN, "password": "x" * 4096})),
    "log in, too long": ("POST", "/login", told({**ANN, "password": "x" * 4097})),
    "log in, empty": ("POST", "/login", told({"email": " ", "password": None})),
    "log in, numbers": ("POST", "/login", told({"email": 1, "password": 2})),
    "log in, no JSON": ("POST", "/login", {"data": "x", "headers": {"Content-Type": "text/plain"}}),
    "log in, GET": ("GET", "/login", {}),
    "verify": ("POST", "/verify", {"headers": bearer(1)}),
    "verify, in the body": ("POST", "/verify", told({"token": blog.token(1)})),
    "verify, in the body and the header": ("POST", "/verify", told({"token": "x"}, **bearer(1))),
    "verify, an empty body": ("POST", "/verify", told({}, **bearer(1))),
    "verify, an empty body alone": ("POST", "/verify", told({})),
    "verify, a number": ("POST", "/verify", told({"token": 1})),
    "verify, nothing": ("POST", "/verify", {}),
    "verify, expired": ("POST", "/verify", {"headers": EXPIRED}),
    "verify, garbage": ("POST", "/verify", {"headers": {"Authorization": "Bearer a.b.c"}}),
    "verify, another scheme": ("POST", "/verify", {"headers": {"Authorization": "Basic x"}}),
    "verify, nobody any more": ("POST", "/verify", {"headers": bearer(77)}),
    "verify, GET": ("GET", "/verify", {}),
    "a user": ("GET", "/users/1", {}),
    "a user, HEAD": ("HEAD", "/users/1", {}),
    "nobody": ("GET", "/users/77", {}),
    "user 0": ("GET", "/users/0", {}),
    "a user with too large a number": ("GET", "/users/99999999999999999999", {}),
    "a user who is no number": ("GET", "/users/ann", {}),
    "a user, DELETE": ("DELETE", "/users/1", {}),
    "rename": ("PATCH", "/users/1", told({"name": " Anna "}, **bearer(1))),
    "rename, more than the name": (
        "PATCH",
        "/users/1",
        told({"name": "A", "email": "x"}, **bearer(1)),
    ),
    "rename, no name": ("PATCH", "/users/1", told({}, **bearer(1))),
    "rename, blank": ("PATCH", "/users/1", told({"name": "  "}, **bearer(1))),
    "rename, another": ("PATCH", "/users/1", told({"name": "A"}, **bearer(2))),
    "rename, nobody": ("PATCH", "/users/77", told({"name": "A"}, **bearer(77))),
    "rename, no token": ("PATCH", "/users/1", told({"name": "A"})),
    "rename, no token nor JSON": ("PATCH", "/users/1", {"data": "x"}),
    "rename, no JSON": ("PATCH", "/users/1", {"data": "x", "headers": bearer(1)}),
    "nowhere": ("GET", "/accounts", {}),
}


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FlaskClient, FlaskClient]]:
    """Monolith and service, each with Ann. What a request changes, it changes on both sides."""
    folder = tmp_path_factory.mktemp("sides")
    url = sqlite_url(folder)
    upgrade(url)
    apps = create_app(blog.settings(url)), create_service(settings_in(folder))
    for app in apps:
        assert app.test_client().post("/register", json=ANN).json["id"] == 1
    yield apps[0].test_client(), apps[1].test_client()
    for app in apps:
        app.extensions["close"]()


@pytest.mark.parametrize("kind", REQUESTS)
def test_the_answer_is_the_monoliths(kind: str, sides: tuple[FlaskClient, FlaskClient]) -> None:
    method, path, more = REQUESTS[kind]
    control, candidate = (client.open(path, method=method, **more) for client in sides)
    assert described(candidate) == described(control)


def described(answer: TestResponse) -> tuple[int, dict[str, str], str]:
    """Status, headers that matter, and the body to the byte but for moments and the token."""
    headers = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
    body = MOMENT.sub("<moment>", answer.text)
    token = (answer.json or {}).get("token") if answer.is_json and answer.data else None
    return answer.status_code, headers, body.replace(json.dumps(token), "<token>")
