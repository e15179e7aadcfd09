"""The image service over its HTTP interface, with pictures kept in memory."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import pytest
from flask import Flask
from flask.testing import FlaskClient
from urllib3 import encode_multipart_formdata
from werkzeug.test import TestResponse

from extracted.chassis import errors
from extracted.chassis.places import Places
from extracted.chassis.tokens import TokenSettings
from extracted.image import routes
from extracted.image.app import create_app
from extracted.image.service import Limits
from extracted.image.settings import Settings
from tests.blog import SECRET, bearer, decoded, photograph
from tests.pictures_in_memory import MemoryStorage


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def client(storage: MemoryStorage) -> Iterator[FlaskClient]:
    settings = Settings(
        tokens=TokenSettings(SECRET), s3_bucket="unused", max_upload_bytes=2_000_000
    )
    app = create_app(settings, storage)
    yield app.test_client()
    app.extensions["close"]()


def upload(client: FlaskClient, data: bytes, name: str = "x.jpg") -> TestResponse:
    # Encoded here: werkzeug's test client leaves the temporary file of a large form open.
    body, content_type = encode_multipart_formdata({"image": (name, data)})
    return client.post("/upload", data=body, content_type=content_type, headers=bearer())


def test_an_uploaded_picture_is_served(client: FlaskClient) -> None:
    stored = upload(client, photograph("rocket.jpg"))
    assert stored.status_code == 201
    assert stored.json["url"] == f"/images/{stored.json['name']}"
    served = client.get(stored.json["url"])
    assert (served.status_code, served.content_type) == (200, "image/jpeg")
    assert decoded(served.data).size == (stored.json["width"], stored.json["height"])
    assert "immutable" in served.headers["Cache-Control"]
    assert served.content_length == len(served.data)


def test_whoever_has_the_picture_is_told_so_without_it(
    client: FlaskClient, storage: MemoryStorage
) -> None:
    url = upload(client, photograph("rocket.jpg")).json["url"]
    etag = client.head(url).headers["ETag"]
    assert storage.opened == 0
    for value in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = client.get(url, headers={"If-None-Match": value})
        assert (answer.status_code, answer.data) == (304, b"")
        assert answer.headers["ETag"] == etag
    assert storage.opened == 0
    assert client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200


def test_head_describes_what_get_would_send(client: FlaskClient) -> None:
    url = upload(client, photograph("rocket.jpg")).json["url"]
    head, get = client.head(url), client.get(url)
    for name in ("Content-Type", "Content-Length", "ETag", "Cache-Control"):
        assert head.headers[name] == get.headers[name]
    assert head.data == b""


@pytest.mark.parametrize(
    "name", ["0" * 32 + ".jpg", "x.jpg", "0" * 32 + ".png", "..%2F..%2Fetc%2Fpasswd", "%00.jpg"]
)
def test_other_names_are_not_found(client: FlaskClient, name: str) -> None:
    answer = client.get(f"/images/{name}")
    assert (answer.status_code, answer.json["error"]["code"]) == (404, "not_found")


def test_every_picture_has_a_name_of_its_own(client: FlaskClient) -> None:
    names = {upload(client, photograph("rocket.jpg")).json["name"] for _ in range(3)}
    assert len(names) == 3


def test_a_body_past_the_limit_is_refused(client: FlaskClient) -> None:
    assert upload(client, b"x" * 2_100_000).json["error"]["code"] == "file_too_large"
    answer = upload(client, b"x" * 3_000_000)
    assert (answer.status_code, answer.json["error"]["code"]) == (413, "body_too_large")


def test_nothing_is_kept_of_what_is_refused(client: FlaskClient, storage: MemoryStorage) -> None:
    assert upload(client, b"no picture").status_code == 415
    assert client.post("/upload", data={"image": "text"}, headers=bearer()).status_code == 400
    assert client.post("/upload", data={"image": (BytesIO(b"x"), "x")}).status_code == 401
    assert storage.kept == {}


def test_while_all_places_are_taken_a_picture_is_put_off(storage: MemoryStorage) -> None:
    app, places = Flask(__name__), Places(1)
    errors.init_app(app)
    tokens = TokenSettings(SECRET).verifier()
    limits = Limits(2_000_000, 1_000_000)
    app.register_blueprint(routes.blueprint(tokens, storage, limits, places))
    client = app.test_client()
    with places.one():
        answer = upload(client, photograph("rocket.jpg"))
        assert (answer.status_code, answer.json["error"]["code"]) == (503, "images_busy")
        assert answer.headers["Retry-After"] == "2"
        assert client.get(f"/images/{'0' * 32}.jpg").status_code == 404
    assert upload(client, photograph("rocket.jpg")).status_code == 201


def test_storage_trouble_is_a_503_and_passes(client: FlaskClient, storage: MemoryStorage) -> None:
    storage.broken = True
    for answer in (upload(client, photograph("rocket.jpg")), client.get(f"/images/{'0' * 32}.jpg")):
        assert (answer.status_code, answer.json["error"]["code"]) == (503, "storage_unavailable")
    storage.broken = False
    assert upload(client, photograph("rocket.jpg")).status_code == 201
