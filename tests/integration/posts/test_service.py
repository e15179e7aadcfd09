"""The posts service beside the others: pictures, tokens, events, and what happens without them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, jsonify, request
from flask.testing import FlaskClient
from urllib3 import encode_multipart_formdata
from werkzeug.test import TestResponse

from extracted.chassis.clock import utc_now
from extracted.chassis.events import Event, open_broker
from extracted.chassis.events.envelope import read
from extracted.chassis.events.payloads import PostCreated
from extracted.chassis.events.port import Subscription
from extracted.posts.app import create_app
from extracted.posts.opening import open_storage
from extracted.posts.settings import Settings
from tests.blog import NOWHERE, bearer, served
from tests.integration.posts.running import NAME, ImageDouble, settings, told
from tests.wire_tools.proxy import until

POST = {"title": "Title", "body": "Body"}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def client(stack: ExitStack, chosen: Settings) -> FlaskClient:
    app = create_app(chosen)
    stack.callback(app.extensions["close"])
    return app.test_client()


def with_picture(posts: FlaskClient) -> TestResponse:
    body, kind = encode_multipart_formdata({**POST, "image": ("x.jpg", b"picture")})
    return posts.post("/posts", data=body, content_type=kind, headers=told())


def heard(chosen: Settings) -> list[Event[Any]]:
    """What a queue has of new posts; its consumer has to have been there before."""
    broker = open_broker(chosen.broker_url)
    with closing(broker.consumer(Subscription("mail", ("post.created",)))) as consumer:
        found = []
        while (delivery := consumer.receive(0.2 if found else 10.0)) is not None:
            consumer.done(delivery)
            found.append(read(delivery.message.body))
        return found


def test_a_picture_is_stored_first_and_shown_by_the_post(stack: ExitStack, tmp_path: Path) -> None:
    images = ImageDouble()
    address = stack.enter_context(served(images.app))
    posts = client(stack, settings(tmp_path, image_service_url=address))
    made = with_picture(posts)
    assert (made.status_code, made.json["image_url"]) == (201, f"/images/{NAME}")
    ((authorization, data),) = images.uploads
    assert data == b"picture"
    assert authorization == told()["Authorization"]


def test_without_the_image_service_posts_with_a_picture_are_put_off_and_others_are_not(
    stack: ExitStack, tmp_path: Path
) -> None:
    posts = client(stack, settings(tmp_path))
    for _ in range(3):
        refused = with_picture(posts)
        assert (refused.status_code, refused.json["error"]["code"]) == (
            503,
            "image_service_unavailable",
        )
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
    # By then the breaker is open, and says for how long.
    assert int(with_picture(posts).headers["Retry-After"]) > 2
    assert posts.get("/posts").json["total"] == 0
    assert posts.post("/posts", json=POST, headers=told()).status_code == 201


def test_an_image_service_that_hangs_takes_all_threads_but_one(
    stack: ExitStack, tmp_path: Path
) -> None:
    images, asked, go_on = ImageDouble(), threading.Semaphore(0), threading.Event()

    @images.app.before_request
    def hang() -> None:
        asked.release()
        assert go_on.wait(30)

    address = stack.enter_context(served(images.app))
    app = create_app(settings(tmp_path, image_service_url=address, threads=3))
    stack.callback(app.extensions["close"])
    with ThreadPoolExecutor(2) as pool:
        under_way = [pool.submit(with_picture, app.test_client()) for _ in range(2)]
        for _ in under_way:
            assert asked.acquire(timeout=30)
        refused = with_picture(app.test_client())
        go_on.set()
        made = [each.result(30).status_code for each in under_way]
    assert (refused.status_code, refused.json["error"]["code"]) == (
        503,
        "image_service_unavailable",
    )
    assert refused.headers["Retry-After"] == "2"
    assert made == [201, 201]
    assert with_picture(app.test_client()).status_code == 201


def test_a_new_post_is_published_by_the_thread_that_start_begins(
    stack: ExitStack, tmp_path: Path
) -> None:
    chosen = settings(tmp_path)
    broker = open_broker(chosen.broker_url)
    with closing(broker.consumer(Subscription("mail", ("post.created",)))) as consumer:
        consumer.receive(0.0)
    app = create_app(chosen)
    stack.callback(app.extensions["close"])
    app.extensions["start"]()
    headers = {**told(), "Accept-Language": "ko-KR, en;q=0.8", "X-Request-ID": "r-1"}
    made = app.test_client().post("/posts", json=POST, headers=headers)
    (event,) = heard(chosen)
    payload = event.payload
    assert isinstance(payload, PostCreated)
    assert (payload.post_id, payload.title) == (made.json["id"], "Title")
    author = payload.author
    assert (author.id, author.name, author.email) == (1, "Ann", "ann@example.org")
    assert author.language == "ko"
    assert event.request_id == "r-1"


def test_a_refused_post_is_not_told_of(stack: ExitStack, tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    posts = client(stack, chosen)
    assert posts.post("/posts", json={"title": ""}, headers=told()).status_code == 400
    assert with_picture(posts).status_code == 503
    with closing(open_storage(chosen.database_url)) as storage:
        assert storage.outbox.backlog().events == 0


def test_health_needs_no_other_service(stack: ExitStack, tmp_path: Path) -> None:
    posts = client(stack, settings(tmp_path))
    told = posts.get("/health").json
    assert (told["status"], told["service"]) == ("ok", "posts")


@pytest.mark.parametrize("database", ["sqlite", "wire"])
def test_health_tells_of_events_that_wait_for_a_broker_that_is_away(
    request: pytest.FixtureRequest, stack: ExitStack, tmp_path: Path, database: str
) -> None:
    chosen = settings(tmp_path, broker_url="sqlite:////nonexistent/folder/events.db")
    if database == "wire":
        request.getfixturevalue("mongo_database")  # empties it
        chosen = replace(chosen, database_url=request.getfixturevalue("wire"))
    app = create_app(chosen)
    stack.callback(app.extensions["close"])
    posts = app.test_client()
    for _ in range(2):
        assert posts.post("/posts", json=POST, headers=told()).status_code == 201
    assert posts.get("/health").json["details"] == {"outbox": None}
    app.extensions["start"]()
    until(lambda: posts.get("/health").json["details"]["outbox"], "the relay has looked", 20)
    assert posts.get("/health").json["details"]["outbox"]["events"] == 2


def test_a_token_that_does_not_say_whose_it_is_writes_nothing(
    stack: ExitStack, tmp_path: Path
) -> None:
    posts = client(stack, settings(tmp_path))
    for headers in (bearer(), bearer(name="Ann"), bearer(email="a@example.org")):
        refused = posts.post("/posts", json=POST, headers=headers)
        assert (refused.status_code, refused.json["error"]["code"]) == (401, "invalid_token")


def test_a_renamed_author_writes_under_the_new_name_with_the_old_token(
    stack: ExitStack, tmp_path: Path
) -> None:
    chosen = settings(tmp_path)
    posts = client(stack, chosen)
    old = posts.post("/posts", json=POST, headers=told()).json
    with closing(open_storage(chosen.database_url)) as storage:
        at = utc_now() + timedelta(seconds=1)
        storage.repository().rename("e1", 1, "Anna", at)
    new = posts.post("/posts", json=POST, headers=told()).json
    assert new["author"] == {"id": 1, "name": "Anna"}
    assert posts.get(f"/posts/{old['id']}").json["author"] == {"id": 1, "name": "Anna"}


class AuthDouble:
    """An auth service that knows one user; `answer` is what it says to a token."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: tuple[int, dict[str, Any]] = (
            200,
            {"valid": True, "user_id": 7, "email": "fresh@example.org", "name": "Fresh"},
        )
        self.app = Flask(__name__)
        self.app.add_url_rule("/verify", view_func=self._verify, methods=["POST"])

    def _verify(self) -> tuple[Response, int]:
        self.asked.append(request.headers["Authorization"])
        status, body = self.answer
        return jsonify(body), status


@pytest.fixture
def auth() -> AuthDouble:
    return AuthDouble()


def asking(stack: ExitStack, folder: Path, auth: AuthDouble) -> Settings:
    address = stack.enter_context(served(auth.app))
    return settings(folder, tokens=None, auth_service_url=address)


def test_asked_for_the_author_is_whom_the_auth_service_names(
    stack: ExitStack, tmp_path: Path, auth: AuthDouble
) -> None:
    posts = client(stack, asking(stack, tmp_path, auth))
    made = posts.post("/posts", json=POST, headers={"Authorization": "Bearer opaque"})
    assert made.json["author"] == {"id": 7, "name": "Fresh"}
    assert auth.asked == ["Bearer opaque"]
    path = f"/posts/{made.json['id']}"
    assert posts.delete(path, headers={"Authorization": "bearer opaque"}).status_code == 204
    assert posts.get("/posts").status_code == 200
    assert len(auth.asked) == 2


def test_asked_for_a_refused_token_is_refused_with_its_words(
    stack: ExitStack, tmp_path: Path, auth: AuthDouble
) -> None:
    posts = client(stack, asking(stack, tmp_path, auth))
    error = {"code": "invalid_token", "message": "The token has expired; log in again."}
    auth.answer = (401, {"error": {**error, "status": 200, "headers": "none", "message_": 1}})
    refused = posts.post("/posts", json=POST, headers=told())
    assert (refused.status_code, refused.json) == (401, {"error": error})
    assert posts.post("/posts", json=POST).status_code == 401
    assert len(auth.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        (500, {}),
        (200, {"valid": True}),
        (200, {"user_id": "7", "email": "fresh@example.org", "name": "Fresh"}),
        (404, {"error": {"code": "not_found", "message": "There is nothing at this address."}}),
        (400, {"error": {"code": 5, "message": "five"}}),
    ],
)
def test_asked_for_without_an_answer_nothing_is_written_and_all_is_read(
    stack: ExitStack, tmp_path: Path, auth: AuthDouble, answer: tuple[int, dict[str, Any]]
) -> None:
    posts = client(stack, asking(stack, tmp_path, auth))
    auth.answer = answer
    refused = posts.post("/posts", json=POST, headers=told())
    assert (refused.status_code, refused.json["error"]["code"]) == (503, "auth_service_unavailable")
    assert refused.headers["Retry-After"] == "2"
    assert posts.get("/posts").json["total"] == 0


def test_asked_for_while_the_auth_service_is_down_is_told_at_once(
    stack: ExitStack, tmp_path: Path
) -> None:
    chosen = settings(tmp_path, tokens=None, auth_service_url=f"http://{NOWHERE}")
    refused = client(stack, chosen).post("/comments", json={}, headers=told())
    assert (refused.status_code, refused.json["error"]["code"]) == (503, "auth_service_unavailable")


def test_asked_for_an_auth_service_that_hangs_takes_all_threads_but_one(
    stack: ExitStack, tmp_path: Path, auth: AuthDouble
) -> None:
    asked, go_on = threading.Semaphore(0), threading.Event()

    @auth.app.before_request
    def hang() -> None:
        asked.release()
        assert go_on.wait(30)

    app = create_app(replace(asking(stack, tmp_path, auth), threads=2))
    stack.callback(app.extensions["close"])

    def write() -> TestResponse:
        return app.test_client().post("/posts", json=POST, headers=told())

    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(write)
        assert asked.acquire(timeout=30)
        refused = write()
        go_on.set()
        assert under_way.result(30).status_code == 201
    assert (refused.status_code, refused.json["error"]["code"]) == (503, "auth_service_unavailable")
    assert write().status_code == 201
