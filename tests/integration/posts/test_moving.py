"""The monolith's posts and comments are moved into this service's database by the handover engine.

Into MongoDB's wire protocol's stand-in, which is no MongoDB and knows no fences: the copy alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from pymongo import MongoClient

from extracted.chassis.client import ServiceClient
from extracted.chassis.clock import utc_now
from extracted.chassis.events import NotNowError
from extracted.chassis.schema import upgrade
from extracted.posts.app import create_app
from extracted.posts.mongodb import MongoStorage
from extracted.posts.opening import open_storage
from monolith.app import create_app as create_blog
from monolith.db import upgrade as upgrade_blog
from strangler_proxy.handover.comparing import compare
from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.ledger import ledger_path, open_ledger
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.removal import remove
from strangler_proxy.handover.run import Ending, Mover
from strangler_proxy.handover.site import Ends, open_site
from tests.blog import served, sqlite_url
from tests.blog import settings as blog_settings
from tests.integration.handover.documents import ONCE, Follower
from tests.integration.posts.running import settings, told
from tests.services import scratch_database

NAME = {"sql": "(SELECT name FROM users WHERE users.id = author_id)"}
SAME = {
    "posts": ("id", "author_id", "title", "body", "image_url", "created_at", "updated_at"),
    "comments": ("id", "post_id", "author_id", "body", "created_at"),
}
INTO_TABLES = [
    {"table": table, "columns": {**{name: name for name in names}, "author_name": NAME}}
    for table, names in SAME.items()
]
INTO_DOCUMENTS = [{"table": "posts"}, {"table": "comments"}]
READS = ("/posts", "/posts/2", "/posts/99", "/comments?post=1", "/comments?post=2")


@dataclass
class Moving:
    """The blog, and a move of its posts."""

    blog: FlaskClient
    move: Move
    ends: Ends
    folder: Path

    def run(self) -> None:
        """Copy, carry over, verify."""
        with open_ledger(self.ledger, "start") as ledger:
            mover = Mover(self.move, self.ends, ledger, Follower(), threading.Event(), ONCE)
            assert mover.run() is Ending.CAUGHT_UP
        with open_site(self.move, self.ends) as site:
            report = compare(site, listed=20)
        assert report.agrees, str(report)

    def remove(self) -> None:
        """Give it up: the rows stay, and whoever writes passes."""
        with open_ledger(self.ledger, "remove") as ledger:
            remove(self.move, self.ends, ledger)

    @property
    def ledger(self) -> Path:
        return ledger_path(self.folder / "moves.yaml", "posts")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def blog(stack: ExitStack, tmp_path: Path) -> FlaskClient:
    """Two users, three posts of which one was deleted, and comments."""
    upgrade_blog(sqlite_url(tmp_path))
    app = create_blog(blog_settings(sqlite_url(tmp_path)))
    stack.callback(app.extensions["close"])
    client = app.test_client()
    for name in ("Ann", "Bob"):
        account = {"email": f"{name.lower()}@example.org", "password": "secret123", "name": name}
        client.post("/register", json=account)
    for number, by in enumerate((told(1, "Ann"), told(2, "Bob"), told(1, "Ann"))):
        client.post("/posts", json={"title": f"Post {number} 🙂", "body": "B"}, headers=by)
        client.post("/comments", json={"post_id": 1, "body": f"{number}"}, headers=by)
    client.delete("/posts/3", headers=told(1, "Ann"))
    return client


def moving(blog: FlaskClient, folder: Path, target: str, tables: list[dict[str, Any]]) -> Moving:
    declared = {"name": "posts", "source_env": "A", "target_env": "B", "tables": tables}
    ends = Ends(open_database(sqlite_url(folder)), open_database(target))
    return Moving(blog, Move.model_validate(declared), ends, folder)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def test_moved_rows_are_served_alike_and_shut_until_they_are_handed_over(
    stack: ExitStack, tmp_path: Path, blog: FlaskClient, kind: str
) -> None:
    chosen = settings(tmp_path)
    if kind == "postgresql":
        chosen = settings(
            tmp_path, database_url=stack.enter_context(scratch_database("postgresql"))
        )
        upgrade(chosen.database_url, "posts")
    move = moving(blog, tmp_path, chosen.database_url, INTO_TABLES)
    app = create_app(chosen)
    stack.callback(app.extensions["close"])
    service = app.test_client()
    storage = stack.enter_context(closing(open_storage(chosen.database_url)))

    move.run()
    for path in READS:
        assert service.get(path).data == blog.get(path).data
    new = {"title": "T", "body": "B"}
    assert service.post("/posts", json=new, headers=told()).status_code == 500
    assert storage.outbox.backlog().events == 0
    at = utc_now() + timedelta(minutes=1)
    with pytest.raises(NotNowError):
        storage.repository().rename("e1", 1, "Anna", at)

    move.remove()
    storage.repository().rename("e1", 1, "Anna", at)
    assert service.get("/posts/1").json["author"] == {"id": 1, "name": "Anna"}
    names = [each["author"]["name"] for each in service.get("/comments?post=1").json["comments"]]
    assert names == ["Anna", "Bob", "Anna"]


def test_moved_documents_are_served_alike_once_their_authors_names_are_told(
    stack: ExitStack, tmp_path: Path, blog: FlaskClient, wire: str
) -> None:
    url = f"{wire.rpartition('/')[0]}/posts_moved"
    move = moving(blog, tmp_path, url, INTO_DOCUMENTS)
    chosen = settings(tmp_path, database_url=url)
    app = create_app(chosen)
    stack.callback(app.extensions["close"])
    service = app.test_client()

    move.run()
    assert service.get("/posts/1").json["author"] == {"id": 1, "name": ""}
    storage = stack.enter_context(closing(MongoStorage(url)))
    users = ServiceClient(stack.enter_context(served(blog.application)), timeout_s=5)
    stack.callback(users.close)
    assert storage.fill_names(users) == (2, frozenset())
    assert storage.fill_names(users) == (0, frozenset())
    for path in READS:
        assert service.get(path).data == blog.get(path).data


def test_of_an_author_who_is_no_user_no_name_is_told(
    stack: ExitStack, blog: FlaskClient, wire: str
) -> None:
    url = f"{wire.rpartition('/')[0]}/posts_of_nobody"
    with closing(MongoClient(url)) as client:
        client.get_default_database()["posts"].insert_one({"_id": 1, "author_id": 99})
    storage = stack.enter_context(closing(MongoStorage(url)))
    users = ServiceClient(stack.enter_context(served(blog.application)), timeout_s=5)
    stack.callback(users.close)
    assert storage.fill_names(users) == (0, {99})
