"""A few people who write posts and comments through the proxy, newcomers among them, and read them.

What was acknowledged is remembered, and has to be there with its author's name.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests

from scripts.walking.client import FromAddress

PEOPLE = 3
PAUSE_S = 0.5
POSTS_EACH = 2  # of one person, before somebody new comes
# A copy may be behind, and a newcomer's name is asked for when his first words have come.
SETTLED_S = 10.0


@dataclass
class Person:
    """Somebody who is logged in, at an address of his own; of one thread at a time."""

    id: int
    name: str
    session: requests.Session


@dataclass
class Written:
    """A post that was acknowledged at `at`, and its comments' authors."""

    author: Person
    at: float
    comments: dict[int, Person] = field(default_factory=dict)


@dataclass
class Blog:
    """The blog behind its proxy, and the posts that it has acknowledged."""

    url: str
    posts: dict[int, Written] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def join(self) -> Person:
        """Somebody new."""
        number, session = next(self._numbers), requests.Session()
        session.trust_env = False
        session.mount("http://", FromAddress(f"127.2.{number // 250}.{number % 250 + 1}"))
        name = f"Person {number}"
        account = {"email": f"p{number}@example.org", "password": "correct horse", "name": name}
        user = self.ask(session, "POST", "/register", 201, account)
        token = self.ask(session, "POST", "/login", 200, account)["token"]
        session.headers["Authorization"] = f"Bearer {token}"
        return Person(int(user["id"]), name, session)

    def rename(self, person: Person, name: str) -> None:
        """All that the person wrote is to bear the new name."""
        self.ask(person.session, "PATCH", f"/users/{person.id}", 200, {"name": name})
        person.name = name

    def write(self, person: Person) -> None:
        """A post with a comment."""
        sent = {"title": f"By {person.name}", "body": "Body"}
        post = int(self.ask(person.session, "POST", "/posts", 201, sent)["id"])
        remark = {"post_id": post, "body": "Remark"}
        comment = int(self.ask(person.session, "POST", "/comments", 201, remark)["id"])
        self.posts[post] = Written(person, time.monotonic(), {comment: person})

    def read(self, person: Person) -> None:
        """A page of posts, where what has settled is to bear its author's name; one post whole."""
        settled = time.monotonic() - SETTLED_S
        known = {
            key: each.author.name for key, each in self.posts.copy().items() if each.at < settled
        }
        for post in self.ask(person.session, "GET", "/posts?per_page=100", 200)["posts"]:
            told = post["author"]["name"]
            assert known.get(post["id"], told) == told, f"post {post['id']} is by {told!r}"
        for newest in list(known)[-1:]:
            self.ask(person.session, "GET", f"/posts/{newest}", 200)
            self.ask(person.session, "GET", f"/comments?post={newest}", 200)

    def wrong(self, reader: Person) -> list[str]:
        """What is not there now as it was acknowledged, with its author's name."""
        wrong = []
        for post, written in sorted(self.posts.items()):
            found = self.ask(reader.session, "GET", f"/posts/{post}", 200)["author"]["name"]
            below = self.ask(reader.session, "GET", f"/comments?post={post}", 200)["comments"]
            seen = {each["id"]: each["author"]["name"] for each in below}
            wanted = {key: author.name for key, author in written.comments.items()}
            if (found, seen) != (written.author.name, wanted):
                wrong.append(f"post {post}: {found!r} {seen}, not {written.author.name!r} {wanted}")
        return wrong

    def ask(
        self, session: requests.Session, method: str, path: str, wanted: int, json: Any = None
    ) -> Any:
        """The answer's JSON; any other status than the one that is wanted is a failure."""
        answer = session.request(method, self.url + path, json=json, timeout=30)
        told = f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        assert answer.status_code == wanted, told
        return answer.json()


@contextmanager
def traffic(blog: Blog) -> Iterator[Callable[[], None]]:
    """People write and read as long as the block runs; gives what raises once somebody failed."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def check() -> None:
        assert not failed, failed

    def live() -> None:
        try:
            while not stop.is_set():
                _visit(blog, stop)
        except Exception as error:  # noqa: BLE001 (whatever it is, `check` raises it)
            failed.append(error)

    people = [threading.Thread(target=live) for _ in range(PEOPLE)]
    for person in people:
        person.start()
    try:
        yield check
    finally:
        stop.set()
        for person in people:
            person.join()
    check()


def _visit(blog: Blog, stop: threading.Event) -> None:
    person = blog.join()
    with person.session:
        for _ in range(POSTS_EACH):
            blog.write(person)
            blog.read(person)
            if stop.wait(PAUSE_S):
                return
