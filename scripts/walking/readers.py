"""Clients that only look: people who browse, and those whose requests the blog has to refuse."""

from random import Random
from typing import Any

from scripts.walking.client import Answer, Client, Scene
from scripts.walking.journal import Facts, Row
from scripts.walking.photographs import problem_with

PER_PAGE = 20
POST = ("id", "title", "body", "author", "image_url", "created_at", "updated_at")


class Reader:
    """Opens the newest posts, looks at pictures, reads one with its comments and its author."""

    def __init__(self, scene: Scene, rng: Random) -> None:
        self.client = Client(scene, "reader")
        self._rng = rng
        self._validators: dict[str, str] = {}

    def act(self) -> None:
        """Visit the blog once, as somebody who has not been there before."""
        self.client.move()
        posts = list_posts(self.client)
        if not posts:
            return
        pictures = [post["image_url"] for post in posts if post["image_url"]]
        for url in self._rng.sample(pictures, min(3, len(pictures))):
            self._look_at(url)
        post = self._rng.choice(posts)
        if self._rng.random() < 0.5:
            self._read(post["id"], post["title"])
            self._meet(post["author"]["id"])
        else:
            self._read_page(post["id"], post["title"])

    def _read(self, post_id: int, title: str) -> None:
        """Open a post and its comments, one by one."""
        read_post(self.client, post_id, self._row_of(post_id, title))
        answer = self.client.call("comments-list", "GET", f"/comments?post={post_id}")
        self._require_comments(answer, post_id, answer.json("comments")["comments"])

    def _read_page(self, post_id: int, title: str) -> None:
        """Open the page that the proxy composes of a post, its author and its comments."""
        row = self._row_of(post_id, title)
        answer = self.client.call("post-page", "GET", f"/api/posts/{post_id}", status=(200, 404))
        if answer.status == 404:
            self.client.require_promised(answer, row, None)
            return
        page = answer.json("post", "author", "comments")
        post = page["post"]
        self.client.require_promised(answer, row, {**post, "author_id": post["author"]["id"]})
        self._require_author(answer, page["author"])
        if page["comments"] is None:  # the post was deleted after its part had been read
            self.client.require_promised(answer, row, None)
        else:
            self._require_comments(answer, post_id, page["comments"])

    def _row_of(self, post_id: int, title: str) -> Row | None:
        journal = self.client.scene.journal
        return journal.find("post", post_id) or journal.marked("post", title)

    def _require_comments(self, answer: Answer, post_id: int, comments: list[Facts]) -> None:
        journal = self.client.scene.journal
        for comment in comments:
            seen = {**comment, "author_id": comment["author"]["id"]}
            known = journal.find("comment", comment["id"])
            row = known or journal.marked("comment", comment["body"])
            self.client.require_promised(answer, row, seen)
        shown = {comment["id"] for comment in comments}

        def unseen(row: Row) -> bool:
            return row.parent is not None and row.parent.id == post_id and row.id not in shown

        for row in journal.alive("comment", answer.fresh_at, unseen):
            self.client.require_promised(answer, row, None)

    def _meet(self, user_id: int) -> None:
        answer = self.client.call("user-read", "GET", f"/users/{user_id}")
        self._require_author(answer, answer.json("id", "name", "created_at"))

    def _require_author(self, answer: Answer, seen: Facts) -> None:
        answer.require("id" in seen, f"the author is not known: {seen}")
        row = self.client.scene.journal.find("user", seen["id"])
        if row is not None:
            names = row.options(answer.fresh_at, answer.answered_at)
            fits = any(each and each["name"] == seen["name"] for each in names)
            told = f"user {seen['id']} is called {seen['name']!r}, not one of {names}"
            answer.require(fits, told)

    def _look_at(self, url: str) -> None:
        """Fetch a picture, or ask whether the one in the browser's cache is still good."""
        validator = self._validators.get(url)
        if validator is None or self._rng.random() < 0.5:
            self._validators[url] = fetch_picture(self.client, url).headers["ETag"]
            return
        headers = {"If-None-Match": validator}
        # 200 is right as well: control and candidate may derive their validators differently.
        answer = self.client.call("image", "GET", url, status=(200, 304), headers=headers)
        if answer.status == 200:
            require_picture(self.client, answer, url)
        self._validators[url] = answer.headers.get("ETag", validator)


class Stranger:
    """Sends what the blog has to refuse, and expects to be told why."""

    def __init__(self, scene: Scene, rng: Random) -> None:
        self.client = Client(scene, "stranger")
        self._rng = rng

    def act(self) -> None:
        """Make one mistake."""
        kind, method, path, status, code, body = self._rng.choice(MISTAKES)
        answer = self.client.call(kind, method, path, status=status, **body)
        if code is not None:
            error = answer.json("error")["error"]
            answer.require(error.get("code") == code, f"the code is {error.get('code')!r}")
            answer.require(bool(error.get("message")), "it has no message for people")


NOBODY = {"email": "nobody@example.org", "password": "not the password"}
MISTAKES: tuple[tuple[str, str, str, int, str | None, dict[str, Any]], ...] = (
    ("post-read", "GET", "/posts/2000000000", 404, "not_found", {}),
    ("image", "GET", f"/images/{'0' * 32}.jpg", 404, "not_found", {}),
    ("login", "POST", "/login", 401, "bad_credentials", {"json": NOBODY}),
    ("verify", "POST", "/verify", 401, "invalid_token", {"json": {"token": "none"}}),
    ("register", "POST", "/register", 400, "invalid_input", {"json": {"email": "nowhere"}}),
    ("comment-create", "POST", "/comments", 401, None, {"json": {"post_id": 1, "body": "x"}}),
    ("upload", "POST", "/upload", 401, None, {"files": {"image": ("a.jpg", b"no picture")}}),
    ("payment-create", "POST", "/payment", 401, None, {"json": {"amount": 1}}),
)


def list_posts(client: Client) -> list[Facts]:
    """Open the first page of posts and hold it against what was promised."""
    answer = client.call("posts-list", "GET", f"/posts?page=1&per_page={PER_PAGE}")
    page = answer.json("posts", "page", "per_page", "total")
    posts: list[Facts] = page["posts"]
    answer.require_echo(page, {"page": 1, "per_page": PER_PAGE})
    answer.require(len(posts) == min(PER_PAGE, page["total"]), f"{len(posts)} posts on the page")
    ids = [post["id"] for post in posts]
    answer.require(ids == sorted(set(ids), reverse=True), f"not newest first: {ids}")
    journal = client.scene.journal
    for post in posts:
        answer.require(all(name in post for name in POST), f"members are missing: {post}")
        row = journal.find("post", post["id"]) or journal.marked("post", post["title"])
        client.require_promised(answer, row, {**post, "author_id": post["author"]["id"]})

    def unseen(row: Row) -> bool:
        return row.id not in ids and (not ids or row.id > ids[-1])

    for row in journal.alive("post", answer.fresh_at, unseen):
        client.require_promised(answer, row, None)
    return posts


def read_post(client: Client, post_id: int, row: Row | None) -> None:
    """Open one post; it may be missing only if it may have been deleted."""
    answer = client.call("post-read", "GET", f"/posts/{post_id}", status=(200, 404))
    if answer.status == 404:
        client.require_promised(answer, row, None)
        return
    seen = answer.json(*POST)
    client.require_promised(answer, row, {**seen, "author_id": seen["author"]["id"]})


def fetch_picture(client: Client, url: str) -> Answer:
    """Fetch a picture and check that it is whole and shows the photograph that was sent."""
    answer = client.call("image", "GET", url)
    require_picture(client, answer, url)
    answer.require("ETag" in answer.headers, "it has no ETag")
    answer.require("Cache-Control" in answer.headers, "it has no Cache-Control")
    return answer


def require_picture(client: Client, answer: Answer, url: str) -> None:
    """Raise unless an answer's body is the picture that was promised at this address."""
    media_type = answer.headers.get("Content-Type")
    answer.require(media_type == "image/jpeg", f"Content-Type is {media_type!r}")
    row = client.scene.journal.find("image", url.rpartition("/")[2])
    facts = row.changes[0].facts if row is not None else None
    if facts is not None:
        problem = problem_with(answer.content, facts["size"], facts["look"])
        answer.require(problem is None, str(problem))
