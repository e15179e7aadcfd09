"""Posts, auth and the image service together, on sockets, with one broker between them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from flask.testing import FlaskClient
from urllib3 import encode_multipart_formdata

from extracted.auth.app import create_app as create_auth
from extracted.chassis.tokens import TokenSettings
from extracted.image.app import create_app as create_images
from extracted.image.settings import Settings as ImageSettings
from extracted.posts.app import create_app
from extracted.posts.consumer import run
from extracted.posts.settings import ConsumerSettings
from tests.blog import photograph, served
from tests.integration.auth.conftest import settings_in
from tests.integration.posts.running import settings
from tests.pictures_in_memory import MemoryStorage
from tests.wire_tools.proxy import until

ANN = {"email": "ann@example.org", "password": "secret123", "name": "Ann"}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("token_check", ["signature", "auth"])
def test_a_user_of_auth_posts_a_picture_and_is_renamed(
    stack: ExitStack, tmp_path: Path, token_check: str
) -> None:
    auth_settings = settings_in(tmp_path)
    auth_app = create_auth(auth_settings)
    stack.callback(auth_app.extensions["close"])
    auth = stack.enter_context(served(auth_app))
    published = TokenSettings(jwks_url=f"{auth}/.well-known/jwks.json")
    images = create_images(ImageSettings(tokens=published, s3_bucket="unused"), MemoryStorage())
    asked = {"tokens": published} if token_check == "signature" else {"auth_service_url": auth}
    chosen = settings(
        tmp_path,
        broker_url=auth_settings.broker_url,
        image_service_url=stack.enter_context(served(images)),
        **{"tokens": None, **asked},
    )
    app = create_app(chosen)
    stack.callback(app.extensions["close"])
    posts = app.test_client()

    user = requests.post(f"{auth}/register", json=ANN, timeout=30).json()
    token = requests.post(f"{auth}/login", json=ANN, timeout=30).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    made = post_a_picture(posts, headers)
    assert made["author"] == {"id": user["id"], "name": "Ann"}
    assert made["image_url"].startswith("/images/")

    stop = threading.Event()
    consumer = ConsumerSettings(database_url=chosen.database_url, broker_url=chosen.broker_url)
    thread = threading.Thread(target=run, args=(consumer, stop))
    thread.start()
    auth_app.extensions["start"]()
    try:
        path = f"{auth}/users/{user['id']}"
        renamed = requests.patch(path, json={"name": "Anna"}, headers=headers, timeout=30)
        assert renamed.status_code == 200
        shown = f"/posts/{made['id']}"
        until(lambda: posts.get(shown).json["author"]["name"] == "Anna", "it is refreshed", 40)
        assert post_a_picture(posts, headers)["author"]["name"] == "Anna"
    finally:
        stop.set()
        thread.join(30)


def post_a_picture(posts: FlaskClient, headers: dict[str, str]) -> dict:
    form = {"title": "T", "body": "B", "image": ("x.jpg", photograph("rocket.jpg"))}
    body, kind = encode_multipart_formdata(form)
    answer = posts.post("/posts", data=body, content_type=kind, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json
