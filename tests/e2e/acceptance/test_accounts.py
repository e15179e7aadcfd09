from __future__ import annotations

import os
import re
import uuid

import pytest

from tests.e2e.acceptance.conftest import Blog

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def someone() -> dict[str, str]:
    email = f"{uuid.uuid4().hex}@example.org"
    return {"email": email, "password": "correct horse", "name": "Ann Ünicode 🙂"}


def test_health_tells_service_and_seams(blog: Blog) -> None:
    health = blog.ask("GET", "/health").json()
    assert health["status"] == "ok"


def test_registering_and_logging_in(blog: Blog) -> None:
    told = someone()
    made = blog.ask("POST", "/register", json={**told, "email": told["email"].upper()})
    assert made.status_code == 201
    assert set(made.json()) == {"id", "email", "name", "created_at"}
    assert (made.json()["email"], made.json()["name"]) == (told["email"], told["name"])
    assert RFC3339.fullmatch(made.json()["created_at"])

    entered = blog.ask("POST", "/login", json=told).json()
    assert entered["user"] == {
        "id": made.json()["id"],
        "email": told["email"],
        "name": told["name"],
    }
    assert RFC3339.fullmatch(entered["expires_at"])

    valid = {"valid": True, "user_id": made.json()["id"]} | {
        key: told[key] for key in ("email", "name")
    }
    header = {"Authorization": f"Bearer {entered['token']}"}
    assert blog.ask("POST", "/verify", json={"token": entered["token"]}).json() == valid
    assert blog.ask("POST", "/verify", headers=header).json() == valid


def test_an_address_is_taken_once_however_it_is_written(blog: Blog) -> None:
    told = someone()
    assert blog.ask("POST", "/register", json=told).status_code == 201
    again = blog.ask("POST", "/register", json={**told, "email": told["email"].title()})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "email_taken")


def test_wrong_credentials_are_told_alike(blog: Blog) -> None:
    account = blog.account()
    wrong = {"email": account.email, "password": "wrong horse"}
    unknown = {"email": f"x{account.email}", "password": account.password}
    answers = [blog.ask("POST", "/login", json=told) for told in (wrong, unknown)]
    assert [each.status_code for each in answers] == [401, 401]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["error"]["code"] == "bad_credentials"


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"email": "nobody"}, ["email"]),
        ({"email": None, "name": ""}, ["email", "name"]),
        ({"email": 5, "name": "x" * 101, "password": "short"}, ["email", "name", "password"]),
        ({"password": "x" * 73}, ["password"]),
        ({"password": "ü" * 37}, ["password"]),
        ({"name": "nul \0 byte"}, ["name"]),
        ({"name": "\ud800"}, ["name"]),
    ],
)
def test_every_wrong_field_is_named(
    blog: Blog, change: dict[str, object], fields: list[str]
) -> None:
    answer = blog.ask("POST", "/register", json={**someone(), **change})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "invalid_input")
    assert sorted(problem["field"] for problem in error["fields"]) == fields


def test_the_longest_password_works_to_its_last_byte(blog: Blog) -> None:
    told = {**someone(), "password": "x" * 71 + "y"}
    assert blog.ask("POST", "/register", json=told).status_code == 201
    assert blog.ask("POST", "/login", json=told).status_code == 200
    assert blog.ask("POST", "/login", json={**told, "password": "x" * 72}).status_code == 401
    assert blog.ask("POST", "/login", json={**told, "password": "x" * 71 + "yz"}).status_code == 401


def test_a_user_is_public_but_for_the_address(blog: Blog) -> None:
    account = blog.account("Bob")
    shown = blog.ask("GET", f"/users/{account.id}").json()
    assert set(shown) == {"id", "name", "created_at"}
    for missing in ("/users/0", "/users/2000000000", "/users/99999999999999999999"):
        assert blog.ask("GET", missing).status_code == 404


def test_only_the_own_account_is_renamed(blog: Blog) -> None:
    ann, bob = blog.account("Ann"), blog.account("Bob")
    path, told = f"/users/{ann.id}", {"name": "Anna"}
    assert blog.ask("PATCH", path, json=told).status_code == 401
    assert blog.ask("PATCH", path, json=told, headers=bob.headers).status_code == 403
    assert blog.ask("PATCH", path, json=told, headers=ann.headers).json()["name"] == "Anna"
    assert blog.ask("POST", "/verify", headers=ann.headers).json()["name"] == "Anna"


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c"])
def test_what_is_no_token_is_not_verified(blog: Blog, token: str) -> None:
    answer = blog.ask("POST", "/verify", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_token")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000])
def test_a_malformed_body_is_refused(blog: Blog, body: bytes) -> None:
    answer = blog.ask("POST", "/login", data=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_json")


def test_other_refusals_are_json_too(blog: Blog) -> None:
    huge = b'{"x": "' + b"x" * 1_100_000 + b'"}'
    json_type = {"Content-Type": "application/json"}
    answers = {
        404: blog.ask("GET", "/nowhere"),
        405: blog.ask("DELETE", "/login"),
        415: blog.ask("POST", "/login", data="email=x"),
        413: blog.ask("POST", "/login", data=huge, headers=json_type),
    }
    for status, answer in answers.items():
        # Once the monolith is retired, a method that no route names leads nowhere.
        leads_nowhere = status == 405 and os.environ.get("BLOG_STAGE") == "retired"
        assert answer.status_code == (404 if leads_nowhere else status)
        assert set(answer.json()["error"]) == {"code", "message"}
