"""The posts service answers as the monolith's own code does, to the byte.

Both are in this process, by one clock, over the same rows, and have pictures made by one service.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from urllib3 import encode_multipart_formdata

from extracted.posts.app import create_app
from monolith import app as monolith
from monolith.db import upgrade
from tests.blog import served, sqlite_url, token
from tests.blog import settings as blog_settings
from tests.integration.posts.running import ImageDouble, settings, told

HEADERS = ("Content-Type", "WWW-Authenticate", "Allow", "Retry-After", "Location")
LONG = "x" * 100_001


@dataclass(frozen=True)
class Ask:
    """One request, to be sent to both."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=told)
    json: Any = None
    data: Any = None
    content_type: str | None = None


class Clock:
    """The time of both; it goes on with each request."""

    now = datetime(2026, 3, 1, 12, 0, 0, 250_000, UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True)
class Both:
    """The two applications, and what they share."""

    monolith: FlaskClient
    service: FlaskClient
    images: ImageDouble
    clock: Clock

    def ask(self, ask: Ask) -> tuple[int, dict[str, str], bytes]:
        """What both answer; fails where they differ."""
        self.clock.now += timedelta(seconds=1)
        control, candidate = (self._answer(side, ask) for side in (self.monolith, self.service))
        assert candidate == control
        return control

    def _answer(self, client: FlaskClient, ask: Ask) -> tuple[int, dict[str, str], bytes]:
        answer = client.open(
            ask.path,
            method=ask.method,
            headers=dict(ask.headers),
            json=ask.json,
            data=ask.data,
            content_type=ask.content_type,
        )
        told_by = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
        return answer.status_code, told_by, answer.data


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    with ExitStack() as stack:
        images, clock = ImageDouble(), Clock()
        address = stack.enter_context(served(images.app))
        shared = {"image_service_url": address, "max_upload_bytes": 1_000_000}
        url, seams = sqlite_url(tmp_path), tmp_path / "seams.json"
        upgrade(url)
        seams.write_text(json.dumps({"image": "remote"}))
        control = monolith.create_app(blog_settings(url, seams_file=seams, **shared), clock)
        candidate = create_app(settings(tmp_path, **shared), clock)
        for app in (control, candidate):
            stack.callback(app.extensions["close"])
        client = control.test_client()
        for name in ("Ann", "Bob"):
            account = {"email": f"{name.lower()}@example.org", "password": "secret123"}
            assert client.post("/register", json={**account, "name": name}).status_code == 201
        yield Both(client, candidate.test_client(), images, clock)


def form(**parts: Any) -> dict[str, Any]:
    """A multipart body, encoded here: werkzeug's client leaves large files open."""
    data, content_type = encode_multipart_formdata(parts)
    return {"data": data, "content_type": content_type}


POST = {"title": "Title", "body": "Body"}
REMARK = {"post_id": 1, "body": "Nice"}
BOB = told(2, "Bob")

READS = [
    Ask("GET", path, {})
    for path in (
        *("/posts", "/posts?per_page=2", "/posts?per_page=2&page=2", "/posts?page=1000000"),
        *("/posts?page=0", "/posts?per_page=101", "/posts?page=x&per_page=", "/posts?page=-1"),
        *("/posts/1", "/posts/2", "/posts/99", "/posts/0", "/posts/2147483648", "/posts/x"),
        *("/posts/1/", "/posts/", "/posts/-1", f"/posts/{10**30}"),
        *(
            "/comments",
            "/comments?post=1",
            "/comments?post=1&per_page=1&page=2",
            "/comments?post=99",
        ),
        *(
            "/comments?post=0",
            "/comments?post=x",
            "/comments?post=1&per_page=501",
            "/comments?post=",
        ),
        *("/comments?post=2147483648", "/nowhere"),
    )
]
WRITES = [
    Ask("POST", "/posts", json=POST),
    Ask("POST", "/posts", json={**POST, "title": "  Grüße 🙂  ", "extra": 1}),
    Ask("POST", "/posts", json={"title": " ", "body": ""}),
    Ask("POST", "/posts", json={"title": "x" * 201, "body": LONG}),
    Ask("POST", "/posts", json={"title": 1, "body": None}),
    Ask("POST", "/posts", json={"title": "a\0b", "body": "\ud800"}),
    Ask("POST", "/posts", json=[]),
    Ask("POST", "/posts", data=b"{", content_type="application/json"),
    Ask("POST", "/posts", data=b"[" * 100_000, content_type="application/json"),
    Ask("POST", "/posts", data=b" " * (1024 * 1024 + 1), content_type="application/json"),
    Ask("POST", "/posts", data=b"title=x", content_type="application/x-www-form-urlencoded"),
    Ask("POST", "/posts", {}, json=POST),
    Ask("POST", "/posts", {"Authorization": "Bearer x"}, json=POST),
    Ask("POST", "/posts", {"Authorization": "Basic x"}, json=POST),
    Ask("POST", "/posts", {"Authorization": f"Bearer {token(1, lives_s=-5)}"}, json=POST),
    Ask("POST", "/posts", told(secret="x" * 32), json=POST),
    Ask("POST", "/posts", **form(title="T", body="B")),
    Ask("POST", "/posts", **form(title="T", body="B", image=("x.jpg", b"picture"))),
    Ask("POST", "/posts", **form(title="T", body="B", image=("", b""))),
    Ask("POST", "/posts", **form(title="T", body="B", image="text")),
    Ask("POST", "/posts", **form(title="", image=("x.jpg", b"picture"))),
    Ask("POST", "/posts", **form(title="T", body="B", image=("x.jpg", b"x" * 1_600_000))),
    Ask("POST", "/posts", data=b"--x", content_type="multipart/form-data"),
    Ask("PATCH", "/posts/1", json={"title": "New"}),
    Ask("PATCH", "/posts/1", json={"body": "New", "title": "  Newer "}),
    Ask("PATCH", "/posts/1", json={"title": "Title"}),
    Ask("PATCH", "/posts/1", json={}),
    Ask("PATCH", "/posts/1", json={"title": "", "body": 7}),
    Ask("PATCH", "/posts/1", BOB, json={}),
    Ask("PATCH", "/posts/1", {}, json={}),
    Ask("PATCH", "/posts/99", json={}),
    Ask("PATCH", "/posts/2147483648", json={}),
    Ask("PATCH", "/posts/1", data=b"x"),
    Ask("PUT", "/posts/1", json=POST),
    Ask("POST", "/comments", json=REMARK),
    Ask("POST", "/comments", BOB, json={**REMARK, "body": " kept as it is "}),
    Ask("POST", "/comments", json={"post_id": 99, "body": "x"}),
    Ask("POST", "/comments", json={"post_id": True, "body": ""}),
    Ask("POST", "/comments", json={"post_id": 2**31, "body": "x" * 10_001}),
    Ask("POST", "/comments", json={"post_id": 1.0}),
    Ask("POST", "/comments", {}, json=REMARK),
    Ask("POST", "/comments", **form(post_id="1", body="x")),
    Ask("DELETE", "/comments", {}),
    Ask("DELETE", "/posts/1", BOB),
    Ask("DELETE", "/posts/1", {}),
    Ask("DELETE", "/posts/99"),
    Ask("DELETE", "/posts/1"),
    Ask("DELETE", "/posts/1"),
    Ask("POST", "/comments", json=REMARK),
    Ask("GET", "/posts/1", {}),
    Ask("GET", "/comments?post=1", {}),
    Ask("POST", "/posts", json=POST),
]


def seed(both: Both) -> None:
    for number in range(3):
        both.ask(Ask("POST", "/posts", json={**POST, "title": f"Post {number}"}))
        both.ask(Ask("POST", "/comments", BOB, json={"post_id": 1, "body": f"{number}"}))


def test_every_read_is_answered_alike(both: Both) -> None:
    seed(both)
    statuses = {both.ask(ask)[0] for ask in READS}
    assert statuses == {200, 400, 404}


def test_a_history_of_writes_is_answered_alike_and_leaves_the_same(both: Both) -> None:
    seed(both)
    statuses = {both.ask(ask)[0] for ask in WRITES}
    assert statuses >= {200, 201, 204, 400, 401, 403, 404, 405, 413, 415}
    for path in ("/posts?per_page=100", "/comments?post=1", "/comments?post=2"):
        assert both.ask(Ask("GET", path, {}))[0] == 200
    assert both.images.uploads[::2] == both.images.uploads[1::2] != []


@pytest.mark.parametrize("status", [400, 401, 413, 415, 422, 429])
def test_a_refusal_of_the_image_service_is_passed_on_alike(both: Both, status: int) -> None:
    both.images.refusal = (status, {"code": "some_code", "message": "Told.", "fields": [1]})
    picture = form(title="T", body="B", image=("x.jpg", b"picture"))
    answered = both.ask(Ask("POST", "/posts", **picture))
    assert (answered[0], json.loads(answered[2])["error"]["code"]) == (status, "some_code")
    assert json.loads(both.ask(Ask("GET", "/posts", {}))[2])["total"] == 0


@pytest.mark.parametrize("status", [200, 404, 500, 503])
def test_a_failure_of_the_image_service_is_answered_alike(both: Both, status: int) -> None:
    both.images.refusal = (status, {"told": "nothing"})
    picture = form(title="T", body="B", image=("x.jpg", b"picture"))
    answered = both.ask(Ask("POST", "/posts", **picture))
    assert (answered[0], answered[1]["Retry-After"]) == (503, "2")
    assert both.ask(Ask("POST", "/posts", json=POST))[0] == 201
