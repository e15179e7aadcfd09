from __future__ import annotations

import os

import pytest
import requests

from tests.bad_files import bad_files
from tests.blog import decoded, photograph
from tests.e2e.acceptance.conftest import Account, Blog
from tests.wire_tools.proxy import until


@pytest.fixture(scope="module")
def ann(blog: Blog) -> Account:
    return blog.account("Ann")


@pytest.fixture(scope="module")
def bob(blog: Blog) -> Account:
    return blog.account("Bob")


def post(
    blog: Blog, author: Account, title: str = "Title", body: str = "Body"
) -> requests.Response:
    told = {"title": title, "body": body}
    return blog.ask("POST", "/posts", json=told, headers=author.headers)


def test_a_post_is_there_as_it_was_answered(blog: Blog, ann: Account) -> None:
    made = post(blog, ann, "Grüße 🙂", "Line\n" * 20_000)
    assert made.status_code == 201
    assert set(made.json()) == {
        *("id", "title", "body", "author", "image_url", "created_at", "updated_at")
    }
    assert made.json()["author"] == {"id": ann.id, "name": "Ann"}
    assert made.json()["image_url"] is None
    assert blog.ask("GET", f"/posts/{made.json()['id']}").json() == made.json()


def test_posts_are_listed_newest_first_in_pages(blog: Blog, ann: Account) -> None:
    made = [post(blog, ann, f"Post {number}").json()["id"] for number in range(5)]
    first = blog.ask("GET", "/posts?per_page=3").json()
    second = blog.ask("GET", "/posts?per_page=3&page=2").json()
    ids = [each["id"] for each in (*first["posts"], *second["posts"])]
    assert ids == sorted(ids, reverse=True)
    assert ids[:5] == made[::-1]
    assert (first["page"], first["per_page"], second["page"]) == (1, 3, 2)
    assert first["total"] >= 5
    beyond = blog.ask("GET", "/posts?page=1000000").json()
    assert beyond["posts"] == []


@pytest.mark.parametrize(
    "query",
    ["page=0", "per_page=101", "page=x", "page=-1", "page=1000001", "per_page=1e2", "page="],
)
def test_pages_have_bounds(blog: Blog, query: str) -> None:
    answer = blog.ask("GET", f"/posts?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")


def test_a_post_with_an_image(blog: Blog, ann: Account) -> None:
    made = blog.ask(
        "POST",
        "/posts",
        data={"title": "Rocket", "body": "Look"},
        files={"image": ("rocket.jpg", photograph("rocket.jpg"))},
        headers=ann.headers,
    )
    assert made.status_code == 201
    picture = blog.ask("GET", made.json()["image_url"])
    assert picture.headers["Content-Type"] == "image/jpeg"
    assert decoded(picture.content).size == (640, 427)
    again = {"If-None-Match": picture.headers["ETag"]}
    assert blog.ask("GET", made.json()["image_url"], headers=again).status_code == 304


def test_a_form_may_leave_the_image_out(blog: Blog, ann: Account) -> None:
    for files in ({"other": ("x", b"x")}, {"image": ("", b"")}):
        made = blog.ask(
            "POST",
            "/posts",
            data={"title": "T", "body": "B"},
            files=files,
            headers=ann.headers,
        )
        assert (made.status_code, made.json()["image_url"]) == (201, None)


@pytest.mark.parametrize("kind", ["empty", "bomb", "text", "gif animation", "cut jpeg"])
def test_a_bad_image_makes_no_post(blog: Blog, ann: Account, kind: str) -> None:
    before = blog.ask("GET", "/posts").json()["total"]
    data, code = bad_files()[kind]
    answer = blog.ask(
        "POST",
        "/posts",
        data={"title": "T", "body": "B"},
        files={"image": ("x.jpg", data)},
        headers=ann.headers,
    )
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"]["code"] == code
    assert blog.ask("GET", "/posts").json()["total"] == before


def test_an_upload_alone(blog: Blog, ann: Account) -> None:
    files = {"image": ("coffee.png", photograph("coffee.png"))}
    made = blog.ask("POST", "/upload", files=files, headers=ann.headers)
    assert made.status_code == 201
    assert set(made.json()) == {"name", "url", "width", "height"}
    assert blog.ask("POST", "/upload", files=files).status_code == 401


def test_only_the_author_changes_and_deletes(blog: Blog, ann: Account, bob: Account) -> None:
    made = post(blog, ann).json()
    path = f"/posts/{made['id']}"
    change = {"title": "Changed"}
    for headers, status in (({}, 401), (bob.headers, 403)):
        assert blog.ask("PATCH", path, json=change, headers=headers).status_code == status
        assert blog.ask("DELETE", path, headers=headers).status_code == status
    changed = blog.ask("PATCH", path, json=change, headers=ann.headers).json()
    assert changed == {**made, "title": "Changed", "updated_at": changed["updated_at"]}
    assert changed["updated_at"] >= made["updated_at"]
    assert blog.ask("PATCH", path, json={}, headers=ann.headers).status_code == 400

    told = {"post_id": made["id"], "body": "Nice"}
    assert blog.ask("POST", "/comments", json=told, headers=bob.headers).status_code == 201
    gone = blog.ask("DELETE", path, headers=ann.headers)
    assert (gone.status_code, gone.content) == (204, b"")
    for method in ("GET", "PATCH", "DELETE"):
        answer = blog.ask(method, path, json=change, headers=ann.headers)
        assert answer.status_code == 404
    assert blog.ask("GET", f"/comments?post={made['id']}").json()["comments"] == []
    assert blog.ask("POST", "/comments", json=told, headers=bob.headers).status_code == 404


def test_comments_come_in_the_order_of_writing(blog: Blog, ann: Account, bob: Account) -> None:
    post_id = post(blog, ann).json()["id"]
    written = []
    for author, body in ((bob, "First 🙂"), (ann, "Second")):
        told = {"post_id": post_id, "body": body}
        answer = blog.ask("POST", "/comments", json=told, headers=author.headers)
        assert answer.status_code == 201
        written.append(answer.json())
    assert set(written[0]) == {"id", "post_id", "body", "author", "created_at"}
    assert written[0]["author"] == {"id": bob.id, "name": "Bob"}
    assert blog.ask("GET", f"/comments?post={post_id}").json()["comments"] == written
    assert blog.ask("GET", "/comments").status_code == 400


@pytest.mark.parametrize("post_id", [True, 1.0, "1", None, 0, 2**31, 10**30])
def test_a_comment_needs_a_posts_number(blog: Blog, ann: Account, post_id: object) -> None:
    told = {"post_id": post_id, "body": "x"}
    answer = blog.ask("POST", "/comments", json=told, headers=ann.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")


def test_a_new_name_shows_on_old_posts(blog: Blog) -> None:
    account = blog.account("Old")
    post_id = post(blog, account).json()["id"]
    blog.ask("PATCH", f"/users/{account.id}", json={"name": "New"}, headers=account.headers)

    def shown() -> bool:
        return blog.ask("GET", f"/posts/{post_id}").json()["author"]["name"] == "New"

    # Where accounts and posts are two services, the name is a copy that an event refreshes. The
    # monolith alone has but one.
    if "BLOG_URL" in os.environ:
        until(shown, "the new name is shown", 10)
    assert shown()


def test_the_author_is_mailed(blog: Blog) -> None:
    account = blog.account("Ann")
    post(blog, account, "Mailed <post>")
    message = blog.mail_to(account.email)
    assert message["Subject"] == "Published: Mailed <post>"
    html = message.get_body(("html",))
    assert html is not None
    assert "Mailed &lt;post&gt;" in html.get_content()


@pytest.mark.parametrize("size", [100_000, 2_000_000, 20_000_000])
def test_an_early_refusal_of_a_large_body_arrives_and_the_connection_lives(
    blog: Blog, ann: Account, size: int
) -> None:
    """The body is on its way when the answer is known; the client must get to see the answer."""
    headers = ann.headers if size > 16_777_216 + 524_288 else {}
    with requests.Session() as session:
        for _ in range(3):
            files = {"image": ("x", b"x" * size)}
            url = f"{blog.url}/upload"
            answer = session.post(url, files=files, headers=headers, timeout=30)
            assert answer.status_code == (413 if headers else 401)
