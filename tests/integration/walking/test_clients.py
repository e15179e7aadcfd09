"""Clients against a blog that answers wrongly: each wrong answer must be noticed."""

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from scripts.walking.cast import Cast
from scripts.walking.client import Client, Scene, Writing, WrongAnswerError
from scripts.walking.crew import Crew
from scripts.walking.figures import Figures
from scripts.walking.journal import Journal, Row
from scripts.walking.photographs import Photograph, take
from scripts.walking.readers import PER_PAGE, fetch_picture, list_posts, read_post


@pytest.fixture
def scene(httpserver: HTTPServer) -> Scene:
    return Scene(httpserver.url_for("").rstrip("/"), Journal(), Figures(), [])


@pytest.fixture
def client(scene: Scene) -> Iterator[Client]:
    client = Client(scene, "tester")
    yield client
    client.close()


def shown(number: int, **more: Any) -> dict[str, Any]:
    post = {"id": number, "title": f"post {number}", "body": "text", "image_url": None}
    times = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}
    return {**post, "author": {"id": 1, "name": "Ann"}, **times, **more}


def wrote(scene: Scene, number: int, facts: dict[str, Any] | None = None) -> Row:
    """A post whose write was acknowledged a while ago."""
    told = {"title": f"post {number}", "body": "text", "author_id": 1}
    row, change = scene.journal.send("post", f"post {number}", told | (facts or {}), 0.0)
    scene.journal.acknowledge(row, change, number, 0.0)
    return row


def deleted(scene: Scene, row: Row) -> None:
    row, change = scene.journal.send("post", row.mark, None, 0.1)
    scene.journal.acknowledge(row, change, row.id, 0.1)


def answer_list(httpserver: HTTPServer, *posts: dict[str, Any], **more: Any) -> None:
    page = {"posts": posts, "page": 1, "per_page": PER_PAGE, "total": len(posts), **more}
    httpserver.expect_request("/posts").respond_with_json(page)


def test_a_list_as_promised_is_accepted(
    httpserver: HTTPServer, client: Client, scene: Scene
) -> None:
    for number in (1, 2):
        wrote(scene, number)
    answer_list(httpserver, shown(2), shown(1))
    assert [post["id"] for post in list_posts(client)] == [2, 1]
    assert (scene.figures.requests, scene.figures.failures) == (1, [])


@pytest.mark.parametrize(
    ("posts", "more", "problem"),
    [
        ((shown(2), shown(1, body="stale")), {}, "post 1 is"),
        ((shown(1),), {}, "post 2 was acknowledged and is missing"),
        ((shown(1), shown(2)), {}, "not newest first"),
        ((shown(2), shown(2), shown(1)), {}, "not newest first"),
        ((shown(3, title="strange"), shown(2), shown(1)), {}, "no client wrote"),
        ((shown(2), shown(1)), {"total": 7}, "2 posts on the page"),
        ((shown(2), shown(1)), {"page": 2}, "page is 2"),
        ((shown(2), {"id": 1}), {}, "members are missing"),
    ],
)
def test_a_wrong_list_is_noticed(
    httpserver: HTTPServer,
    client: Client,
    scene: Scene,
    posts: Any,
    more: dict[str, Any],
    problem: str,
) -> None:
    for number in (1, 2):
        wrote(scene, number)
    answer_list(httpserver, *posts, **more)
    with pytest.raises(WrongAnswerError, match=problem):
        list_posts(client)


def test_a_deleted_post_that_is_shown_again_is_noticed(
    httpserver: HTTPServer, client: Client, scene: Scene
) -> None:
    row = wrote(scene, 1)
    deleted(scene, row)
    httpserver.expect_request("/posts/1").respond_with_json(shown(1))
    with pytest.raises(WrongAnswerError, match="post 1 was deleted and is shown"):
        read_post(client, 1, row)


def test_a_post_that_cannot_be_found_is_noticed(
    httpserver: HTTPServer, client: Client, scene: Scene
) -> None:
    row = wrote(scene, 1)
    httpserver.expect_request("/posts/1").respond_with_json({"error": {}}, status=404)
    with pytest.raises(WrongAnswerError, match="acknowledged and is missing"):
        read_post(client, 1, row)
    deleted(scene, row)
    read_post(client, 1, row)


@pytest.fixture(scope="module")
def photograph() -> Photograph:
    return take("coffee.png", 600)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda content: content[:-2000], "no whole picture"),
        (lambda _: take("rocket.jpg", 600).content, "measures|another photograph"),
        (lambda _: b"", "no whole picture"),
    ],
    ids=["cut", "another", "empty"],
)
def test_a_wrong_picture_is_noticed(
    httpserver: HTTPServer,
    client: Client,
    scene: Scene,
    photograph: Photograph,
    change: Any,
    problem: str,
) -> None:
    facts = {"size": photograph.shown_size, "look": photograph.look}
    row, written = scene.journal.send("image", "one", facts, 0.0)
    scene.journal.acknowledge(row, written, "a.jpg", 0.0)
    headers = {"ETag": '"x"', "Cache-Control": "public"}
    content = change(photograph.content)
    answer = Response(content, mimetype="image/jpeg", headers=headers)
    httpserver.expect_request("/images/a.jpg").respond_with_response(answer)
    with pytest.raises(WrongAnswerError, match=problem):
        fetch_picture(client, "/images/a.jpg")


def test_an_unexpected_status_is_a_failure_with_everything_to_look_into_it(
    httpserver: HTTPServer, client: Client, scene: Scene
) -> None:
    httpserver.expect_request("/posts").respond_with_data(
        "upstream gone", status=502, headers={"X-Request-ID": "abc"}
    )
    scene.phase = "before"
    with pytest.raises(WrongAnswerError) as caught:
        list_posts(client)
    failure = caught.value.failure
    assert (failure.phase, failure.kind, failure.request_id) == ("before", "posts-list", "abc")
    assert failure.problem == "status 502, not [200]"
    assert failure.answer == "502 upstream gone"


def test_no_answer_is_a_failure_and_leaves_the_write_in_doubt(scene: Scene) -> None:
    scene.address = "http://127.0.0.1:9"  # nothing listens on the discard port
    client = Client(scene, "tester")
    writing = Writing(scene, "post", "fig", {"title": "fig"})
    with pytest.raises(WrongAnswerError, match="no whole answer"):
        client.call("post-create", "POST", "/posts", json={})
    client.close()
    assert None in writing.row.options(1e9, 1e9)
    assert {"title": "fig"} in writing.row.options(1e9, 1e9)


def test_clients_come_from_different_addresses(httpserver: HTTPServer, client: Client) -> None:
    seen: list[Any] = []

    def note(request: Any) -> Response:
        seen.append(request.remote_addr)
        return Response("{}", mimetype="application/json")

    httpserver.expect_request("/").respond_with_handler(note)
    for _ in range(2):
        client.call("any", "GET", "/")
        client.call("any", "GET", "/")
        client.move()
    assert seen[0] == seen[1]
    assert seen[2] == seen[3]
    assert len(set(seen)) == 2


def test_a_crew_goes_on_after_a_wrong_answer_and_reports_it(
    httpserver: HTTPServer, client: Client, scene: Scene
) -> None:
    httpserver.expect_ordered_request("/posts").respond_with_data("no", status=500)
    httpserver.expect_ordered_request("/posts").respond_with_json(
        {"posts": [], "page": 1, "per_page": PER_PAGE, "total": 0}
    )
    crew = Crew(scene)
    with httpserver.wait(stop_on_nohandler=False, timeout=10):
        crew.go("lister", lambda: list_posts(client) and None, lambda: 0.01)
    crew.stop()
    assert scene.figures.failures[0].problem == "status 500, not [200]"


def test_a_crew_hands_on_what_a_client_died_of(scene: Scene) -> None:
    def die() -> None:
        raise ZeroDivisionError

    crew = Crew(scene)
    crew.go("clumsy", die, lambda: 0.0)
    crew.stop()
    with pytest.raises(ZeroDivisionError):
        crew.check()


def test_an_interrupt_in_the_start_of_a_thread_does_not_keep_a_crew_from_stopping(
    scene: Scene,
) -> None:
    def interrupted(thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    crew = Crew(scene, interrupted)
    with pytest.raises(KeyboardInterrupt):
        crew.go("late", lambda: None, lambda: 0.0)
    crew.stop()
    crew.check()


def test_who_could_not_join_writes_no_first_posts_and_is_told_of(
    httpserver: HTTPServer, scene: Scene
) -> None:
    httpserver.expect_request("/register").respond_with_data("busy", status=503)
    with closing(Cast(scene, 1, [take("coffee.png", 64)], 0)) as cast:
        cast.join()
        cast.seed_posts(4)
    kinds = [failure.kind for failure in scene.figures.failures]
    assert kinds == ["register"] * len(cast.members)
