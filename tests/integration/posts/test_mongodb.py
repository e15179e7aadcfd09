"""What is MongoDB's alone: no transaction, so deaths between two writes, and leases.

Over the wire protocol's stand-in, which is no MongoDB: it has the same statements, one at a time.
That a shut collection refuses is played by a wrapper, as it knows no validators.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, DuplicateKeyError, WriteError
from typer.testing import CliRunner

from extracted.chassis.events import NotNowError
from extracted.chassis.events.opening import open_broker
from extracted.chassis.events.port import Message, Subscription, UnroutedError
from extracted.chassis.outbox_store import Backlog
from extracted.chassis.relaying import Relay
from extracted.posts.mongodb import MongoStorage
from extracted.posts.mongodb.__main__ import app as indexes
from extracted.posts.mongodb.backlog import app as backlog
from extracted.posts.mongodb.fill_names import app as fill_names
from extracted.posts.mongodb.names import Names
from extracted.posts.mongodb.outbox import LEASE_S
from extracted.posts.mongodb.repository import MongoPosts
from extracted.posts.mongodb.unfinished import Unfinished
from scripts.processes import ROOT
from strangler_proxy.steps.pace import RealPace, wait_until
from tests.blog import NOWHERE
from tests.integration.events.outboxes import ListPublisher
from tests.integration.posts.storages import NOON, Dated, in_parts, remark, write, writer

LATER = NOON + timedelta(hours=1)


class Killed(BaseException):
    """The process ends here."""


def killed() -> None:
    raise Killed


def away() -> None:
    raise AutoReconnect("cut off")


@dataclass
class Watched:
    """A database in which something happens before certain statements, once each."""

    database: Dated
    before: dict[str, Callable[[], object]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return _Watched(self, name)


class _Watched:
    def __init__(self, owner: Watched, name: str) -> None:
        self._owner, self._name = owner, name

    def __getattr__(self, statement: str) -> Any:
        act = self._owner.before.pop(f"{self._name}.{statement}", None)
        if act is not None:
            act()
        return getattr(self._owner.database[self._name], statement)


@pytest.fixture
def watched(mongo_database: Dated) -> Watched:
    return Watched(mongo_database)


def sent(database: Any) -> list[str]:
    """The keys of what another process's relay sends."""
    _, outbox = in_parts(database)
    publisher = ListPublisher()
    Relay(outbox, publisher).send_waiting()
    return [message.key for message in publisher.taken]


@pytest.mark.parametrize("statement", ["outbox.update_one", "posts.update_one"])
def test_killed_after_a_post_was_written_its_event_is_sent_and_once(
    watched: Watched, mongo_database: Dated, statement: str
) -> None:
    repository, _ = in_parts(watched)
    watched.before["posts.insert_one"] = lambda: watched.before.update({statement: killed})
    with pytest.raises(Killed):
        write(repository)
    assert sent(mongo_database) == ["post:1"]
    assert sent(mongo_database) == []
    assert "event" not in mongo_database["posts"].find_one({"_id": 1})


def test_killed_before_a_post_was_written_nothing_is_sent(
    watched: Watched, mongo_database: Dated
) -> None:
    repository, _ = in_parts(watched)
    watched.before["posts.insert_one"] = killed
    with pytest.raises(Killed):
        write(repository)
    assert sent(mongo_database) == []
    assert repository.newest(0, 10) == ([], 0)


def test_when_the_outbox_fails_after_the_post_was_written_the_author_is_told_of_it(
    watched: Watched, mongo_database: Dated
) -> None:
    repository, outbox = in_parts(watched)
    watched.before["posts.insert_one"] = lambda: watched.before.update({"outbox.update_one": away})
    assert write(repository).id == 1
    assert outbox.backlog().events == 1
    assert sent(mongo_database) == ["post:1"]


@pytest.mark.parametrize(
    "statement", ["comments.delete_many", "posts.delete_one", "outbox.update_one"]
)
def test_killed_while_a_post_is_deleted_nothing_of_it_is_seen_and_the_relay_ends_it(
    watched: Watched, mongo_database: Dated, statement: str
) -> None:
    repository, _ = in_parts(watched)
    # Its event is in the post still, as if another writer had been killed.
    watched.before["posts.insert_one"] = lambda: watched.before.update(
        {"outbox.update_one": killed}
    )
    with pytest.raises(Killed):
        write(repository)
    repository.comment(remark(1))
    watched.before[statement] = killed
    with pytest.raises(Killed):
        repository.remove(1)
    assert repository.find(1) is None
    assert repository.comments(1, 0, 10) == ([], 0)
    assert sent(mongo_database) == ["post:1"]
    for collection in ("posts", "comments"):
        assert mongo_database[collection].count_documents({}) == 0


def test_a_comment_sees_that_its_post_has_gone_meanwhile(watched: Watched) -> None:
    repository, _ = in_parts(watched)
    post = write(repository)
    watched.before["comments.insert_one"] = lambda: repository.remove(post.id)
    assert repository.comment(remark(post.id)) is None
    assert watched.database["comments"].count_documents({}) == 0


def test_a_newer_token_renames_and_an_older_one_does_not(mongo_database: Dated) -> None:
    repository, _ = in_parts(mongo_database)
    first = write(repository, writer(1, "Ann", NOON))
    write(repository, writer(1, "Anna", LATER))
    write(repository, writer(1, "Ann", NOON))
    assert repository.find(first.id).author_name == "Anna"  # type: ignore[union-attr]
    # An event has the last word, though the token is younger: see the law of `names`.
    repository.rename("e1", 1, "Annie", LATER - timedelta(minutes=1))
    assert repository.find(first.id).author_name == "Annie"  # type: ignore[union-attr]


def test_of_two_who_tell_the_first_name_at_once_the_newer_stays(watched: Watched) -> None:
    repository, _ = in_parts(watched)

    def overtaken() -> None:
        in_parts(watched.database)[0].rename("e1", 1, "Older", LATER)
        raise DuplicateKeyError("E11000")

    watched.before["authors.update_one"] = overtaken
    repository.rename("e2", 1, "Newer", LATER + timedelta(seconds=1))
    assert write(repository).author_name == "Newer"


def test_a_rename_waits_for_the_database(watched: Watched) -> None:
    repository, _ = in_parts(watched)
    post = write(repository)
    watched.before["authors.update_one"] = away
    with pytest.raises(NotNowError):
        repository.rename("e1", 1, "Anna", LATER)
    repository.rename("e1", 1, "Anna", LATER)
    assert repository.find(post.id).author_name == "Anna"  # type: ignore[union-attr]


def shut() -> None:
    raise WriteError("Document failed validation", 121)


def test_a_shut_collection_holds_up_no_event(watched: Watched) -> None:
    repository, _ = in_parts(watched)
    watched.before["posts.insert_one"] = lambda: watched.before.update(
        {"outbox.update_one": killed}
    )
    with pytest.raises(Killed):
        write(repository)
    watched.before["posts.update_one"] = shut
    assert sent(watched) == ["post:1"]
    assert sent(watched) == []


def refuse(watched: Watched, statement: str, times: int) -> list[int]:
    """Keep a collection shut for so many tries; gives how many are left."""
    left = [times]

    def once() -> None:
        left[0] -= 1
        if left[0]:
            watched.before[statement] = once
        shut()

    watched.before[statement] = once
    return left


@pytest.mark.parametrize(
    ("statement", "act", "left_over"),
    [
        ("posts.insert_one", lambda repository: write(repository), (2, 0)),
        ("posts.find_one_and_update", lambda it: it.change(1, {"title": "N"}, NOON), (1, 0)),
        ("posts.find_one_and_update", lambda repository: repository.remove(1), (0, 0)),
        ("comments.insert_one", lambda repository: repository.comment(remark(1)), (1, 1)),
    ],
    ids=["add", "change", "remove", "comment"],
)
def test_who_writes_while_a_late_hand_over_keeps_it_shut_waits_and_is_written_once(
    watched: Watched,
    statement: str,
    act: Callable[[MongoPosts], object],
    left_over: tuple[int, int],
) -> None:
    repository, _ = in_parts(watched)
    write(repository)
    left = refuse(watched, statement, 3)
    act(repository)
    assert left == [0]
    kept = (watched.database[name].count_documents({}) for name in ("posts", "comments"))
    assert tuple(kept) == left_over


def test_who_writes_what_stays_shut_is_told_in_the_end(watched: Watched) -> None:
    names, unfinished = Names(watched), Unfinished(watched)
    repository = MongoPosts(watched, names, unfinished, lambda: None, shut_s=0.2)
    refuse(watched, "posts.insert_one", 1_000_000)
    with pytest.raises(WriteError, match="failed validation"):
        write(repository)
    assert watched.database["posts"].count_documents({}) == 0


def test_one_relay_works_at_a_time_and_a_killed_one_for_as_long_as_its_lease(
    mongo_database: Dated,
) -> None:
    now = [1_000_000.0]
    repository, outbox = in_parts(mongo_database, lambda: now[0])
    write(repository)
    with outbox.claim(10) as first:
        assert len(first.events) == 1
        with outbox.claim(10) as second:
            assert second.events == []
        now[0] += LEASE_S + 1
        with outbox.claim(10) as third:
            assert len(third.events) == 1
    with outbox.claim(10) as fourth:
        assert len(fourth.events) == 1


def test_events_that_no_queue_takes_wait_and_what_was_sent_goes_after_its_time(
    mongo_database: Dated,
) -> None:
    now = [1_000_000.0]
    repository, outbox = in_parts(mongo_database, lambda: now[0])
    for _ in range(3):
        write(repository)
    takes: list[str] = ["post:2"]

    def route(message: Message) -> None:
        if message.key not in takes:
            raise UnroutedError(message.topic)

    publisher = ListPublisher(route)
    relay = Relay(outbox, publisher)
    assert relay.send_waiting() == 1
    now[0] += 10
    assert outbox.backlog() == Backlog(2, 10.0)
    takes += ["post:1", "post:3"]
    assert relay.send_waiting() == 0
    now[0] += 60
    assert relay.send_waiting() == 2
    assert sorted(message.key for message in publisher.taken) == ["post:1", "post:2", "post:3"]
    assert outbox.purge(3600) == 0
    assert outbox.purge(-1) == 3
    assert outbox.backlog() == Backlog(0, 0.0)


def test_ids_go_on_from_the_counters_that_a_move_has_raised(mongo_database: Dated) -> None:
    repository, _ = in_parts(mongo_database)
    for collection, last in (("posts", 41), ("comments", 99)):
        mongo_database["counters"].insert_one({"_id": collection, "last": last})
    post = write(repository, writer(7, "Bob"))
    assert post.id == 42
    comment = repository.comment(remark(42))
    assert comment is not None
    assert comment.id == 100


def test_indexes_and_counters_are_made_and_again(wire: str) -> None:
    url = f"{wire.rpartition('/')[0]}/indexed"
    with closing(MongoClient(url)) as client:
        counters = client.get_default_database()["counters"]
        for last in (0, 7):
            assert command(indexes, "--database", url) == (0, "")
            assert counters.find_one({"_id": "posts"}) == {"_id": "posts", "last": last}
            counters.update_one({"_id": "posts"}, {"$set": {"last": 7}})
    with closing(MongoStorage(url)) as storage:
        assert storage.repository().newest(0, 1) == ([], 0)
    with closing(MongoClient(url)) as client:
        made = client.get_default_database()["posts"].index_information().values()
    assert [("event.id", 1)] in [list(each["key"]) for each in made]


def test_the_commands_tell_what_is_wrong_with_an_address() -> None:
    assert command(indexes, "--database", "sqlite:///posts.db")[0] == 2
    assert command(indexes, "--database", "mongodb://nowhere")[0] == 2
    code, told = command(fill_names, "--database", "mongodb://nowhere/posts", "--auth", "auth:1")
    assert (code, told.startswith("AUTH_SERVICE_URL")) == (2, True)


def test_a_mongodb_that_no_move_could_leave_is_refused_for_one(wire: str) -> None:
    url = f"{wire.rpartition('/')[0]}/for_a_move"
    code, told = command(indexes, "--database", url, "--for-a-move")
    assert code == 1
    assert "is no replica set" in told
    with closing(MongoClient(url)) as client:
        assert client.get_default_database().list_collection_names() == []


def test_a_server_that_is_not_there_is_told_without_its_password() -> None:
    url = f"mongodb://ann:secret@{NOWHERE}/posts?timeoutMS=300"
    for asked in (indexes, backlog):
        code, told = command(asked, "--database", url)
        assert code == 1
        assert f"no MongoDB can be used at {NOWHERE}" in told
        assert "secret" not in told
        assert len(told) < 300


def test_what_waits_to_be_sent_is_told_as_of_other_outboxes(
    wire: str, mongo_database: Dated
) -> None:
    repository, _ = in_parts(mongo_database)
    assert command(backlog, "--database", wire, "--json") == (0, '{"events": 0, "oldest_s": 0.0}\n')
    write(repository)
    code, told = command(backlog, "--database", wire, "--json")
    assert (code, json.loads(told)["events"]) == (0, 1)
    assert sent(mongo_database) == ["post:1"]
    assert command(backlog, "--database", wire)[1].startswith("0 events wait")


def test_what_waits_is_sent_by_a_command_where_the_service_has_died(
    wire: str, mongo_database: Dated, tmp_path: Path
) -> None:
    broker = f"sqlite:///{tmp_path}/events.db"
    with closing(open_broker(broker).consumer(Subscription("all", ("post.*",)))) as consumer:
        assert consumer.receive(0) is None  # now the queue is there
    repository, outbox = in_parts(mongo_database)
    write(repository)
    environment = {**os.environ, "DATABASE_URL": wire, "BROKER_URL": broker}
    command = (sys.executable, "-m", "extracted.posts.mongodb.relay")
    with subprocess.Popen(command, cwd=ROOT, env=environment) as relay:
        try:
            assert wait_until(lambda: outbox.backlog().events == 0, 30, RealPace(), 0.1)
        finally:
            relay.terminate()
        assert relay.wait(20) == 0
    assert sent(mongo_database) == []


def test_names_cannot_be_asked_of_who_is_not_there(wire: str) -> None:
    url = f"{wire.rpartition('/')[0]}/nameless"
    with closing(MongoClient(url)) as client:
        client.get_default_database()["posts"].insert_one({"_id": 1, "author_id": 1})
    code, told = command(fill_names, "--database", url, "--auth", f"http://{NOWHERE}")
    assert code == 1
    assert "could not be done" in told


def command(app: typer.Typer, *arguments: str) -> tuple[int, str]:
    """The exit code, and what was printed."""
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, done.output
