"""Names of authors whom a move brings into MongoDB: asked for, corrected, and followed.

Over the wire protocol's stand-in, which is no MongoDB; users are answered for by a double.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Set
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from flask import Flask, Response, jsonify

from extracted.chassis.client import ServiceClient, ServiceUnavailableError
from extracted.posts.mongodb.filling import (
    Filled,
    UnexpectedAnswerError,
    fill_names,
    follow,
)
from extracted.posts.mongodb.names import Names
from tests.blog import served
from tests.integration.posts.storages import NOON, Dated
from tests.wire_tools.proxy import until


@dataclass
class Users:
    """Who knows users: a name, or the status that is answered instead."""

    names: dict[int, str | int]
    asked: list[int] = field(default_factory=list)
    before: Callable[[int], object] = lambda _: None

    def app(self) -> Flask:
        app = Flask(__name__)
        app.add_url_rule("/users/<int:user_id>", view_func=self._user)
        return app

    def _user(self, user_id: int) -> tuple[Response, int]:
        self.asked.append(user_id)
        found = self.names.get(user_id, 404)
        self.before(user_id)
        if isinstance(found, int):
            return jsonify(error={"code": "x", "message": "x"}), found
        return jsonify(id=user_id, name=found), 200


@pytest.fixture
def users() -> Users:
    return Users({1: "Ann", 2: "Bob"})


@pytest.fixture
def client(users: Users) -> Iterator[ServiceClient]:
    with ExitStack() as stack:
        yield stack.enter_context(
            closing(ServiceClient(stack.enter_context(served(users.app())), timeout_s=5))
        )


def bring(database: Dated, *authors: int) -> None:
    """Posts of these, as a move makes them."""
    for author in authors:
        database["posts"].insert_one({"_id": author, "author_id": author})


def test_every_name_is_asked_for_again_and_one_that_no_event_told_of_is_corrected(
    mongo_database: Dated, users: Users, client: ServiceClient
) -> None:
    names = Names(mongo_database)
    bring(mongo_database, 1, 2)
    fill_names(mongo_database, names, client)
    users.names[1] = "Anna"
    assert fill_names(mongo_database, names, client) == (0, frozenset())
    assert names.of([1, 2]) == {1: "Ann", 2: "Bob"}
    assert fill_names(mongo_database, names, client, every=True) == (1, frozenset())
    assert names.of([1, 2]) == {1: "Anna", 2: "Bob"}
    names.learn(1, "Annie", NOON)
    assert names.of([1]) == {1: "Annie"}


@pytest.mark.parametrize("known", [True, False])
def test_an_event_that_comes_while_a_name_is_asked_for_is_newer(
    mongo_database: Dated, users: Users, client: ServiceClient, known: bool
) -> None:
    names = Names(mongo_database)
    bring(mongo_database, 1)
    if known:
        names.learn(1, "An", NOON)
    users.before = lambda _: names.learn(1, "Anna", NOON + timedelta(hours=1))
    fill_names(mongo_database, names, client, every=True)
    assert names.of([1]) == {1: "Anna"}


def test_one_author_who_cannot_be_told_keeps_nobody_else_without_a_name(
    mongo_database: Dated, users: Users, client: ServiceClient
) -> None:
    names = Names(mongo_database)
    bring(mongo_database, 1, 2)
    users.names[1] = 418
    with pytest.raises(UnexpectedAnswerError, match="GET /users/1 was answered 418"):
        fill_names(mongo_database, names, client)
    assert names.of([1, 2]) == {2: "Bob"}


def test_who_is_no_user_is_left_out_where_that_is_known(
    mongo_database: Dated, users: Users, client: ServiceClient
) -> None:
    names = Names(mongo_database)
    bring(mongo_database, 3)
    assert fill_names(mongo_database, names, client) == (0, {3})
    assert fill_names(mongo_database, names, client, but={3}) == (0, frozenset())
    assert users.asked == [3]


def test_authors_who_come_later_are_named_until_it_is_stopped(
    mongo_database: Dated, users: Users, client: ServiceClient
) -> None:
    names, stop = Names(mongo_database), threading.Event()

    def fill(but: Set[int]) -> Filled:
        return fill_names(mongo_database, names, client, but=but)

    follower = threading.Thread(target=follow, args=(fill, stop))
    follower.start()
    try:
        bring(mongo_database, 1)
        until(lambda: names.of([1]) == {1: "Ann"}, "the first is named")
        bring(mongo_database, 2, 3)
        until(lambda: names.of([2]) == {2: "Bob"}, "the next is named")
    finally:
        stop.set()
        follower.join(10)
    assert not follower.is_alive()
    assert users.asked.count(3) <= 1


def test_following_outlives_what_fails() -> None:
    failures: list[Exception] = [ServiceUnavailableError("auth"), UnexpectedAnswerError("418")]
    stop, left_out = threading.Event(), list[Set[int]]()

    def fill(but: Set[int]) -> Filled:
        left_out.append(set(but))
        if failures:
            raise failures.pop()
        if len(left_out) > 3:
            stop.set()
        return Filled(1, frozenset({9}))

    follow(fill, stop)
    assert left_out == [set(), set(), set(), {9}]
