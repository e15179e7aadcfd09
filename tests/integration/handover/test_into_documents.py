"""Rows of several tables become documents, while they are written to.

Against a MongoDB in memory (tests/mongodb/fake.py), against what speaks its wire protocol and is no
MongoDB (tests/mongodb/wire.py), and against a replica set (tests/mongodb/replica_set.py).
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.databases.port import Database
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.plan import plan
from strangler_proxy.handover.run import Ending
from strangler_proxy.handover.site import open_ends, open_site
from tests.integration.handover.conftest import SERVERS, kind_param
from tests.integration.handover.documents import EMBEDDED, NAME, ONCE, Blog, moving
from tests.mongodb.fake import FakeServer
from tests.mongodb.wire import wire_server


@pytest.fixture(params=["fake", "wire", pytest.param("replica set", marks=pytest.mark.services)])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "fake":
        yield FakeServer().database()
    elif request.param == "wire":
        with wire_server(tmp_path) as url:
            yield open_database(url)
    else:
        yield open_database(request.getfixturevalue("document_database"))


@pytest.fixture
def blog(place, target: Database, tmp_path: Path) -> Blog:
    return Blog(place("sqlite"), target, tmp_path)


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def faked(place, server: FakeServer, tmp_path: Path) -> Blog:
    return Blog(place("sqlite"), server.database(), tmp_path)


def test_rows_become_documents_with_their_children_in_order(blog: Blog) -> None:
    blog.fill(30)
    blog.source.execute("INSERT INTO posts VALUES (31, 'ä😀 %s \"\\ ', 'no comments')")
    assert blog.run() is Ending.CAUGHT_UP
    found = blog.documents()
    assert len(found) == 31
    assert found["7"] == {
        "_id": 7,
        "title": "title 7",
        "body": None,
        "comments": [
            {"id": 71, "words": "word 1", "rank": -1},
            {"id": 70, "words": "word 0", "rank": 0},
        ],
    }
    assert found["31"] == {
        "_id": 31,
        "title": 'ä😀 %s "\\ ',
        "body": "no comments",
        "comments": [],
    }
    report = blog.verify()
    assert report.agrees, str(report)
    assert report.rows == 31 + 60


def test_what_changes_while_it_is_copied_is_carried_over(blog: Blog) -> None:
    blog.fill(700)

    def write() -> None:
        blog.source.execute("DELETE FROM comments WHERE post_id = 5")
        blog.source.execute("DELETE FROM posts WHERE id = 5")
        blog.source.execute("UPDATE posts SET title = 'new' WHERE id = 7")
        blog.source.execute("INSERT INTO posts VALUES (9000, 'late', NULL)")
        blog.source.execute("UPDATE comments SET words = 'changed' WHERE id = 60")
        blog.source.execute("INSERT INTO comments VALUES (9001, 6, 'first now', -99)")
        blog.source.execute("DELETE FROM comments WHERE id = 81")

    blog.follower.at_rows[200] = write
    blog.follower.when["all tables are copied"] = lambda: blog.source.execute(
        "INSERT INTO comments VALUES (9002, 9000, 'after the copy', 0)"
    )
    assert blog.run() is Ending.CAUGHT_UP
    found = blog.documents()
    assert "5" not in found
    assert found["7"]["title"] == "new"
    assert list(blog.words(9000)) == ["after the copy"]
    assert list(blog.words(6)) == ["first now", "word 1", "changed"]
    assert list(blog.words(8)) == ["word 0"]
    assert blog.verify().agrees


def test_a_child_that_changes_parents_leaves_one_document_for_the_other(blog: Blog) -> None:
    blog.fill(3)
    blog.run()
    blog.source.execute("UPDATE comments SET post_id = 2 WHERE id = 10")
    blog.source.execute("UPDATE comments SET id = 999 WHERE id = 30")
    blog.run()
    assert list(blog.words(1)) == ["word 1"]
    assert sorted(each["id"] for each in blog.documents()["2"]["comments"]) == [10, 20, 21]
    assert sorted(each["id"] for each in blog.documents()["3"]["comments"]) == [31, 999]
    assert blog.verify().agrees


def test_a_table_of_its_own_becomes_a_collection_of_its_own(blog: Blog) -> None:
    blog.move = moving({"table": "posts", "to": "entries"}, {"table": "comments"})
    blog.fill(3)
    blog.run()
    assert blog.documents("entries")["2"] == {"_id": 2, "title": "title 2", "body": None}
    assert blog.documents("comments")["20"] == {
        "_id": 20,
        "post_id": 2,
        "words": "word 0",
        "rank": 0,
    }
    assert blog.verify().agrees


def test_a_run_that_is_told_to_stop_goes_on_from_its_last_page(blog: Blog) -> None:
    blog.fill(900, comments_each=1)
    blog.follower.at_rows[200] = blog.stop.set
    assert blog.run() is Ending.EARLY
    copied = len(blog.documents())
    assert 200 <= copied < 900
    blog.stop.clear()
    blog.follower.pages.clear()
    assert blog.run() is Ending.CAUGHT_UP
    assert blog.follower.pages[0].rows == copied
    assert blog.verify().agrees


def test_remove_leaves_the_documents_and_nothing_else(blog: Blog) -> None:
    blog.fill(3)
    blog.run()
    blog.remove()
    assert len(blog.documents()) == 3
    with open_site(blog.move, blog.ends) as site:
        kept = {"strangler_claims", "strangler_clock"}
        ours = {name for name in site.target.store.collections() if name.startswith("strangler_")}
        assert ours <= kept
    assert blog.run() is Ending.CAUGHT_UP, "and it may begin again"
    assert blog.verify().agrees


def test_verify_finds_what_differs_and_repair_puts_it_right(blog: Blog) -> None:
    blog.fill(40)
    blog.run()
    with open_site(blog.move, blog.ends) as site:
        store = site.target.store
        store.delete("posts", [3])
        store.put("posts", [{"_id": 77, "title": "extra", "body": None, "comments": []}])
        store.put("posts", [{"_id": 4, "title": "other"}])
        store.put("posts", [{"_id": 5, "comments": []}])
        twice = [{"id": 60, "words": "word 0", "rank": 0}]
        store.put("posts", [{"_id": 7, "comments": [*blog.documents()["7"]["comments"], *twice]}])
    report = blog.verify()
    found = {(str(each.to), *each.key, each.what) for each in report.differences}
    assert found == {
        ("posts", 3, "missing"),
        ("posts.comments", 30, "missing"),
        ("posts.comments", 31, "missing"),
        ("posts", 77, "extra"),
        ("posts", 4, "different"),
        ("posts.comments", 50, "missing"),
        ("posts.comments", 51, "missing"),
        ("posts.comments", 60, "different"),
    }
    assert blog.repair().agrees
    assert blog.verify().agrees


def test_a_mover_killed_at_any_page_loses_and_doubles_nothing(place, tmp_path: Path) -> None:
    """By SIGKILL, in a process of its own, over the wire."""
    with wire_server(tmp_path) as url:
        blog = Blog(place("sqlite"), open_database(url), tmp_path)
        blog.fill(1_500, comments_each=1)
        command = [sys.executable, "-m", "tests.integration.handover.document_mover"]
        ended = subprocess.run([*command, blog.place.url, url, str(tmp_path), "2"])
        assert ended.returncode == -signal.SIGKILL
        blog.source.execute("UPDATE posts SET title = 'changed' WHERE id = 1")
        assert 0 < len(blog.documents()) < 1_500
        patient = replace(ONCE, claim_s=60.0)  # the dead mover's lease has still to end
        assert blog.run(patient) is Ending.CAUGHT_UP
        assert len(blog.documents()) == 1_500
        assert blog.documents()["1"]["title"] == "changed"
        report = blog.verify()
        assert report.agrees, str(report)


class Killed(BaseException):
    """The mover is dead: nothing of it runs any more."""


def test_killed_between_the_documents_and_their_checkpoint(faked: Blog, server: FakeServer) -> None:
    faked.fill(500, comments_each=1)
    left = 0

    def die_behind_a_page(statement: str, collection: str) -> None:
        nonlocal left
        if (statement, collection) == ("put", f"strangler_{NAME}_checkpoint"):
            left -= 1
            if not left:
                raise Killed

    server.watched = die_behind_a_page  # the first page is there, and nobody has noted it
    for left in (3, 2):  # noqa: B007 - counted down above
        with pytest.raises(Killed):
            faked.run()
    server.watched = lambda statement, collection: None
    faked.source.execute("DELETE FROM comments WHERE post_id = 3")
    faked.source.execute("DELETE FROM posts WHERE id = 3")
    assert faked.run() is Ending.CAUGHT_UP
    assert len(server.all("posts")) == 499
    assert faked.follower.pages[-1].rows == 499, "the first page is counted once"
    assert faked.verify().agrees


def test_two_documents_may_exchange_a_value_that_is_unique(faked: Blog, server: FakeServer) -> None:
    server.unique("posts", "title")
    faked.fill(2)
    faked.run()
    faked.source.execute("UPDATE posts SET title = 'x' WHERE id = 1")
    faked.source.execute("UPDATE posts SET title = 'title 1' WHERE id = 2")
    faked.source.execute("UPDATE posts SET title = 'title 2' WHERE id = 1")
    faked.run()
    assert [each["title"] for each in server.all("posts")] == ["title 2", "title 1"]


def test_fields_of_the_service_s_own_stay(faked: Blog, server: FakeServer) -> None:
    faked.fill(1)
    faked.run()
    with open_site(faked.move, faked.ends) as site:
        site.target.store.put("posts", [{"_id": 1, "likes": 7}])
    faked.source.execute("UPDATE posts SET title = 'new'")
    faked.run()
    assert server.all("posts")[0]["likes"] == 7
    assert faked.verify().agrees


def test_what_an_array_is_looked_up_by_has_an_index_until_the_end(
    faked: Blog, server: FakeServer
) -> None:
    faked.fill(1)
    faked.run()
    assert server.indexes("posts") == {f"strangler_{NAME}_comments"}
    faked.remove()
    assert server.indexes("posts") == set()


@pytest.mark.parametrize("kind", [kind_param(kind) for kind in SERVERS])
def test_the_servers_tables_become_documents_too(kind: str, place, server, tmp_path) -> None:
    blog = Blog(place(kind), server.database(), tmp_path)
    blog.fill(20)
    blog.run()
    blog.source.execute("UPDATE comments SET post_id = 2 WHERE id = 10")
    blog.source.execute("DELETE FROM comments WHERE post_id = 3")
    blog.source.execute("DELETE FROM posts WHERE id = 3")
    blog.run()
    assert len(server.all("posts")) == 19
    assert [each["id"] for each in server.all("posts")[1]["comments"]] == [21, 10, 20]
    report = blog.verify()
    assert report.agrees, str(report)


def test_the_plan_tells_of_rows_that_no_document_could_have(faked: Blog) -> None:
    faked.source.execute("PRAGMA foreign_keys = OFF")
    faked.source.execute("INSERT INTO comments VALUES (1, 404, 'lost', 0)")
    with open_site(faked.move, faked.ends) as site, pytest.raises(HandoverRefused) as told:
        plan(site)
    assert "1 row of comments has no row in posts" in str(told.value)


def refusal(blog: Blog) -> str:
    with pytest.raises(HandoverRefused) as told, open_site(blog.move, blog.ends):
        pass
    return str(told.value)


def test_everything_that_stands_against_a_move_is_told_at_once(faked: Blog) -> None:
    faked.source.execute("CREATE TABLE tags (word TEXT, at DATETIME)")
    faked.move = moving(
        {"table": "posts", "columns": {"_id": "id", "a.b": "title", "n": {"sql": "length(title)"}}},
        {"table": "comments", "embed": {**EMBEDDED, "by": "words", "order": "lines"}},
        {"table": "tags", "types": {"nowhere": "string"}},
    )
    told = refusal(faked)
    assert "posts.a.b: 'a.b' is no name for a field" in told
    assert "posts.n is an expression" in told
    assert "tags has no primary key" in told
    assert "tags has no field nowhere" in told
    faked.move = moving(
        {"table": "posts"}, {"table": "comments", "embed": {**EMBEDDED, "order": "lines"}}
    )
    assert "comments must move lines, which embed speaks of" in refusal(faked)
    faked.move = moving(
        {"table": "posts"}, {"table": "comments", "embed": {**EMBEDDED, "by": "words"}}
    )
    assert "words is not the key of posts (id)" in refusal(faked)


def test_documents_are_no_source(faked: Blog) -> None:
    with pytest.raises(HandoverRefused, match="is a move's target alone"):
        open_ends(faked.move, {"A_URL": "mongodb://x/a", "B_URL": "mongodb://x/b"})
