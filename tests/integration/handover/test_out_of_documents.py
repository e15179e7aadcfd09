"""The tables go over to a service that keeps documents, and come back, with all that was written.

Over a MongoDB in memory that stands in for a replica set (tests/mongodb/fake.py): nothing that can
be installed here has MongoDB's stream of changes and validators. With TEST_MONGODB_URL only what
does not look behind the store's port is run against a real one (test_into_documents.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from strangler_proxy.handover import cutover
from strangler_proxy.handover.crossing import Crossing, open_crossing
from strangler_proxy.handover.cutover import Outcome, Wishes
from strangler_proxy.handover.databases.port import Database, Session
from strangler_proxy.handover.faults import HandoverRefused, LockBusy
from strangler_proxy.handover.ownership import open_ownership, ownership_beside, read_ownership
from strangler_proxy.handover.readiness import not_ready
from strangler_proxy.handover.run import Ending
from strangler_proxy.handover.site import open_site
from strangler_proxy.handover.takeover import Takeover
from strangler_proxy.handover.way import Owner
from tests.integration.handover.cutting import FakeProxy, Killed, killed
from tests.integration.handover.documents import Blog
from tests.mongodb.fake import FakeServer, WriteRefused

SOON = Wishes(rehearsal_s=0.0)
STEPS = (
    *("installed", "caught up", "proved", "numbered ahead", "prepared", "intended", "held"),
    *("fenced", "drained", "verified", "numbered", "decided", "flipped", "opened", "released"),
)


class Handed(Blog):
    """The blog with a proxy in front, handed to and fro."""

    def __init__(self, source, target: Database, folder: Path) -> None:
        super().__init__(source, target, folder)
        self.proxy = FakeProxy()

    @property
    def owner(self) -> Owner:
        return read_ownership(ownership_beside(self.ledger)).owner

    @contextmanager
    def open(self) -> Iterator[Crossing]:
        with open_site(self.move, self.ends) as site:
            way = site.way_of(self.owner)
        with open_crossing(way, statement_s=10.0) as crossing:
            yield crossing

    def cut(self, checkpoint: Callable[[str], None] = lambda _: None) -> Outcome:
        with self.open() as crossing, open_ownership(ownership_beside(self.ledger)) as ledger:
            return cutover.run(crossing, [self.proxy], ledger, SOON, checkpoint)

    def resume(self) -> Outcome | None:
        with self.open() as crossing, open_ownership(ownership_beside(self.ledger)) as ledger:
            return cutover.resume(crossing, [self.proxy], ledger)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        return self.source.rows(sql)


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def blog(place, server: FakeServer, tmp_path: Path) -> Handed:
    """Copied, and carried over up to now."""
    blog = Handed(place("sqlite"), server.database(), tmp_path)
    blog.fill(5)
    blog.run()
    return blog


def post(number: int, *comments: int, title: str = "by the service") -> dict[str, object]:
    elements = [{"id": each, "words": f"word {each}", "rank": each} for each in comments]
    return {"_id": number, "title": title, "body": None, "comments": elements}


def test_while_they_follow_the_documents_take_no_writes(blog: Handed, server: FakeServer) -> None:
    with pytest.raises(WriteRefused, match="posts takes no writes here: by move 'blog'"):
        server.write("posts", post(9))
    blog.source.execute("UPDATE posts SET title = 'the mover passes' WHERE id = 1")
    blog.run()
    assert server.all("posts")[0]["title"] == "the mover passes"


def test_there_and_back_with_all_that_was_written(blog: Handed, server: FakeServer) -> None:
    assert blog.cut().done
    assert blog.owner == Owner.CANDIDATE
    assert blog.proxy.served == Owner.CANDIDATE
    with pytest.raises(Exception, match="lives elsewhere"):
        blog.source.execute("UPDATE posts SET title = 'late'")
    server.write("posts", post(6, 900))
    server.write("posts", post(1, 10, 11, 901, title="changed"))
    server.write("posts", post(2))
    server.remove("posts", 3)
    assert blog.run() is Ending.CAUGHT_UP
    assert blog.rows("SELECT title FROM posts WHERE id IN (1, 6) ORDER BY id") == [
        ("changed",),
        ("by the service",),
    ]
    assert blog.rows("SELECT id FROM comments WHERE post_id = 1 ORDER BY id") == [
        (10,),
        (11,),
        (901,),
    ]
    assert blog.rows("SELECT count(*) FROM comments WHERE post_id IN (2, 3)") == [(0,)]
    assert blog.rows("SELECT count(*) FROM posts WHERE id = 3") == [(0,)]
    assert blog.verify().agrees
    server.write("posts", post(7, 902, title="in the last moment"))
    assert blog.cut().done
    assert blog.owner == Owner.CONTROL
    assert blog.rows("SELECT words FROM comments WHERE id = 902") == [("word 902",)]
    with pytest.raises(WriteRefused):
        server.write("posts", post(8))
    blog.source.execute("UPDATE posts SET title = 'ours again' WHERE id = 7")
    assert blog.run() is Ending.CAUGHT_UP
    assert server.all("posts")[-1]["title"] == "ours again"
    report = blog.verify()
    assert report.agrees, str(report)
    assert blog.cut().done, "and there once more"


def test_an_element_that_changes_documents_comes_back_as_one_row(
    blog: Handed, server: FakeServer
) -> None:
    blog.cut()
    for first, then in ((post(1, 11), post(2, 20, 21, 10)), (post(2, 20), post(1, 11, 10, 21))):
        server.write("posts", first)
        server.write("posts", then)
        blog.run()
        report = blog.verify()
        assert report.agrees, str(report)
    server.write("posts", post(2, 20, 10))  # added there before it is taken away here
    blog.run()
    server.write("posts", post(1, 11, 21))
    blog.run()
    assert blog.rows("SELECT post_id FROM comments WHERE id = 10") == [(2,)]
    assert blog.verify().agrees


def test_a_document_that_no_row_could_be_ends_the_mover_with_a_sentence(
    blog: Handed, server: FakeServer
) -> None:
    blog.cut()
    server.write("posts", {**post(6), "title": 5})
    with pytest.raises(HandoverRefused, match="posts, document 6: field title holds 5"):
        blog.run()


def test_a_collection_that_was_dropped_ends_the_mover_with_a_sentence(
    blog: Handed, server: FakeServer
) -> None:
    blog.cut()
    server.drop("posts")
    with pytest.raises(HandoverRefused, match="posts was dropped or renamed"):
        blog.run()


def test_the_service_s_own_validator_is_there_again_once_it_may_write(
    place, server: FakeServer, tmp_path: Path
) -> None:
    server.set_rule("posts", {"$jsonSchema": {"required": ["title"]}})
    own = server.rule("posts")
    blog = Handed(place("sqlite"), server.database(), tmp_path)
    blog.fill(2)
    blog.run()
    assert server.rule("posts") != own
    blog.cut()
    assert server.rule("posts") == own


def test_ids_go_on_from_where_the_other_side_was(blog: Handed, server: FakeServer) -> None:
    blog.source.execute("INSERT INTO posts VALUES (40, 'gone', NULL)")
    blog.source.execute("DELETE FROM posts WHERE id = 40")
    blog.cut()
    counters = {each["_id"]: each["last"] for each in server.all("counters")}
    assert counters["posts"] >= 40
    assert counters["posts.comments"] >= 51
    server.write("counters", {"_id": "posts", "last": 5_000})
    blog.run()
    blog.cut()
    blog.source.execute("INSERT INTO posts (title) VALUES ('next')")
    assert blog.rows("SELECT id FROM posts WHERE title = 'next'")[0][0] > 5_000


def test_the_fence_waits_for_a_transaction_that_had_written_before(
    blog: Handed, server: FakeServer
) -> None:
    blog.cut()
    begun, ends = threading.Event(), threading.Event()

    def write() -> None:
        with server.transaction():
            server.write("posts", post(6))
            begun.set()
            ends.wait(20)

    def asked(statement: str, collection: str) -> None:
        if statement == "set_rule":
            threading.Timer(0.2, ends.set).start()

    writer = threading.Thread(target=write)
    with blog.open() as crossing:
        writer.start()
        begun.wait(10)
        server.watched = asked
        crossing.source_fence.raise_(crossing.source, 5.0, wait_s=10.0)
        assert ends.is_set()
        assert crossing.source_fence.state(crossing.source).standing == "up"
        with pytest.raises(WriteRefused):
            server.write("posts", post(7))
        assert not crossing.source_fence.make_permanent(crossing.source, _waiting(crossing))
        crossing.source_fence.lift(crossing.source)
    writer.join(10)
    server.write("posts", post(7))


def test_a_transaction_that_does_not_end_leaves_the_fence_as_it_was(
    blog: Handed, server: FakeServer
) -> None:
    blog.cut()
    with blog.open() as crossing:
        with server.transaction(), pytest.raises(LockBusy):
            crossing.source_fence.raise_(crossing.source, 5.0, wait_s=0.1)
        assert crossing.source_fence.state(crossing.source).standing == "open"
    server.write("posts", post(6))


def _waiting(crossing: Crossing) -> Callable[[Session], bool]:
    return lambda session: bool(crossing.capture.entries(session, 1))


@pytest.mark.parametrize("back", [False, True], ids=["there", "back"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_behind_any_step_it_is_done_or_undone_and_nothing_is_lost(
    blog: Handed, server: FakeServer, step: str, back: bool
) -> None:
    if back:
        blog.cut()
        server.write("posts", post(6, 900))
    before = blog.owner
    assert killed(blog.cut, step)
    blog.resume()
    owner = blog.owner
    assert owner == (
        before.other if step in ("decided", "flipped", "opened", "released") else before
    )
    assert blog.proxy.served == owner
    if owner == Owner.CANDIDATE:
        server.write("posts", post(77, 970))
        with pytest.raises(Exception, match="lives elsewhere"):
            blog.source.execute("UPDATE posts SET title = 'late'")
    else:
        blog.source.execute("INSERT INTO posts VALUES (77, 'by the monolith', NULL)")
        with pytest.raises(WriteRefused):
            server.write("posts", post(78))
    assert blog.run() is Ending.CAUGHT_UP
    report = blog.verify()
    assert report.agrees, str(report)
    assert blog.rows("SELECT count(*) FROM posts WHERE id = 77") == [(1,)]
    assert any(each["_id"] == 77 for each in server.all("posts"))
    if back:
        assert blog.rows("SELECT post_id FROM comments WHERE id = 900") == [(6,)]


def test_killed_in_the_middle_of_the_opening_it_is_opened(blog: Handed, server: FakeServer) -> None:
    """The fence says open, and a validator still refuses."""

    def die(statement: str, collection: str) -> None:
        if statement == "set_rule":
            raise Killed

    def opening(step: str) -> None:
        if step == "flipped":
            server.watched = die

    with pytest.raises(Killed):
        blog.cut(opening)
    server.watched = lambda statement, collection: None
    with pytest.raises(WriteRefused):
        server.write("posts", post(6))
    outcome = blog.resume()
    assert outcome
    assert outcome.owner == Owner.CANDIDATE
    server.write("posts", post(6))
    blog.run()
    assert blog.rows("SELECT count(*) FROM posts WHERE id = 6") == [(1,)]


def test_a_write_past_the_proxy_in_the_last_moment_undoes_the_rollback(
    blog: Handed, server: FakeServer
) -> None:
    blog.cut()

    def delete(step: str) -> None:
        if step == "verified":
            server.remove("posts", 4)  # no validator refuses that

    outcome = blog.cut(delete)
    assert not outcome.done
    assert blog.owner == Owner.CANDIDATE
    blog.run()
    assert blog.rows("SELECT count(*) FROM posts WHERE id = 4") == [(0,)]


def test_a_mongodb_that_tells_no_changes_is_not_cut_over_to(
    place, server: FakeServer, tmp_path: Path
) -> None:
    server.replica_set = False
    blog = Handed(place("sqlite"), server.database(), tmp_path)
    blog.fill(2)
    assert blog.run() is Ending.CAUGHT_UP
    assert blog.verify().agrees
    takeover = Takeover(blog.move, blog.ends, blog.ledger, [blog.proxy], Owner.CANDIDATE)
    told = " ".join(not_ready(takeover.look()))
    assert "is no replica set" in told
    with pytest.raises(HandoverRefused, match="is no replica set"):
        blog.cut()
    assert blog.owner == Owner.CONTROL
    blog.source.execute("UPDATE posts SET title = 'still ours'")


def test_another_machine_s_mover_is_kept_off_by_the_lease(blog: Handed, server: FakeServer) -> None:
    mine, other = server.database().session(), server.database(lease_s=0.0).session()
    mine.claim("x")
    with pytest.raises(LockBusy, match="another process is at work on 'x'"):
        other.claim("x")
    mine.close()
    other.claim("x")
    server.database().session().claim("x")  # its lease lasted no time
