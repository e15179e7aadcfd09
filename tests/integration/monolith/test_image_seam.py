"""The image seam, switched live between the monolith's own code and the image service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from pytest_httpserver import HTTPServer

from extracted.chassis.tokens import TokenSettings
from extracted.image.app import create_app as create_image_service
from extracted.image.settings import Settings as ImageSettings
from monolith.app import create_app
from monolith.db import upgrade
from tests.blog import SECRET, photograph, served, settings, sqlite_url
from tests.conftest import S3


@dataclass
class Blog:
    client: FlaskClient
    seams_file: Path
    token: dict[str, str]

    def switch(self, mode: str) -> None:
        part = self.seams_file.with_suffix(".part")
        part.write_text(json.dumps({"image": mode}))
        part.replace(self.seams_file)
        assert self.client.get("/health").json["seams"]["image"] == mode

    def post(self, data: bytes) -> Any:
        form = {"title": "T", "body": "B", "image": (BytesIO(data), "x.jpg")}
        return self.client.post("/posts", data=form, headers=self.token)

    def upload(self, data: bytes) -> Any:
        form = {"image": (BytesIO(data), "x.jpg")}
        return self.client.post("/upload", data=form, headers=self.token)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def blog(stack: ExitStack, folder: Path, s3: S3, service: str) -> Blog:
    url = sqlite_url(folder)
    upgrade(url)
    seams = folder / "seams.json"
    app = create_app(settings(url, seams_file=seams, image_service_url=service, **s3.settings()))
    stack.callback(app.extensions["close"])
    client = app.test_client()
    account = {"email": "a@example.org", "password": "secret123", "name": "Ann"}
    assert client.post("/register", json=account).status_code == 201
    token = client.post("/login", json=account).json["token"]
    return Blog(client, seams, {"Authorization": f"Bearer {token}"})


def image_service(stack: ExitStack, s3: S3) -> str:
    settings = ImageSettings(
        tokens=TokenSettings(SECRET),
        aws_access_key_id="x",
        aws_secret_access_key="x",
        **s3.settings(),
    )
    app = create_image_service(settings)
    stack.callback(app.extensions["close"])
    return stack.enter_context(served(app))


def test_posts_and_uploads_work_on_both_sides_and_back(
    stack: ExitStack, tmp_path: Path, s3: S3
) -> None:
    blog_ = blog(stack, tmp_path, s3, image_service(stack, s3))
    for mode in ("remote", "local", "remote"):
        blog_.switch(mode)
        post = blog_.post(photograph("rocket.jpg"))
        assert post.status_code == 201
        picture = blog_.client.get(post.json["image_url"])
        assert (picture.status_code, picture.data[:2]) == (200, b"\xff\xd8")
        assert blog_.upload(photograph("coffee.png")).status_code == 201


def test_refusals_are_the_same_on_both_sides(stack: ExitStack, tmp_path: Path, s3: S3) -> None:
    blog_ = blog(stack, tmp_path, s3, image_service(stack, s3))
    answers = {}
    for mode in ("local", "remote"):
        blog_.switch(mode)
        sent = [b"", b"no picture", photograph("rocket.jpg")[:-20_000]]
        answers[mode] = [(a.status_code, a.json) for a in map(blog_.post, sent)]
    assert answers["local"] == answers["remote"]
    assert [status for status, _ in answers["local"]] == [400, 415, 422]
    assert blog_.client.get("/posts").json["total"] == 0


def test_a_service_that_is_not_there_is_a_503_and_the_way_back_is_open(
    stack: ExitStack, tmp_path: Path, s3: S3
) -> None:
    blog_ = blog(stack, tmp_path, s3, "http://127.0.0.1:9")
    blog_.switch("remote")
    answer = blog_.post(photograph("rocket.jpg"))
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "image_service_unavailable")
    assert blog_.client.get("/posts").json["total"] == 0
    blog_.switch("local")
    assert blog_.post(photograph("rocket.jpg")).status_code == 201


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, "{}"),
        (200, "{}"),
        (201, '{"name": 1, "width": 2, "height": 3}'),
        (404, "<html>"),
        (404, '{"error": {"code": "not_found", "message": "There is nothing at this address."}}'),
        (405, '{"error": {"code": "method_not_allowed", "message": "No."}}'),
        (400, '{"error": "x"}'),
    ],
)
def test_an_answer_that_makes_no_sense_is_a_503(
    stack: ExitStack, tmp_path: Path, s3: S3, httpserver: HTTPServer, status: int, body: str
) -> None:
    httpserver.expect_request("/upload").respond_with_data(body, status)
    blog_ = blog(stack, tmp_path, s3, httpserver.url_for(""))
    blog_.switch("remote")
    answer = blog_.upload(photograph("rocket.jpg"))
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "image_service_unavailable")
