"""Each storage of posts, made as its deployment makes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from bson import CodecOptions
from pymongo import MongoClient

from extracted.chassis.schema import upgrade
from extracted.posts.mongodb import MongoStorage
from extracted.posts.opening import open_storage
from tests.integration.posts.storages import Dated, Kept, in_parts
from tests.mongodb.wire import wire_server
from tests.services import scratch_database


@pytest.fixture(scope="session")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What speaks MongoDB's wire protocol, and is no MongoDB."""
    with wire_server(tmp_path_factory.mktemp("wire")) as url:
        yield url


@pytest.fixture
def mongo_database(wire: str) -> Iterator[Dated]:
    """An empty database of the stand-in's."""
    with closing(MongoClient(wire, timeoutMS=10_000)) as client:
        database = client.get_default_database(codec_options=CodecOptions(tz_aware=True))
        for name in ("posts", "comments", "counters", "authors", "outbox", "leases"):
            database[name].delete_many({})
        yield Dated(database)


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.services),
        "wire",
        pytest.param("mongodb", marks=pytest.mark.services),
    ]
)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    """An empty storage of each kind."""
    with ExitStack() as stack:
        if request.param == "wire":
            repository, outbox = in_parts(request.getfixturevalue("mongo_database"))
            storage = _Parts(outbox)
            yield Kept("wire", storage, repository)  # type: ignore[arg-type]
            return
        if request.param == "mongodb":
            url = request.getfixturevalue("document_database")
            storage_at = stack.enter_context(closing(MongoStorage(url)))
            storage_at.prepare()
            yield Kept("mongodb", storage_at, storage_at.repository())
            return
        url = f"sqlite:///{tmp_path / 'posts.db'}"
        if request.param == "postgresql":
            url = stack.enter_context(scratch_database("postgresql"))
        upgrade(url, "posts")
        storage_in = stack.enter_context(closing(open_storage(url)))
        yield Kept(request.param, storage_in, storage_in.repository())


class _Parts:
    """Of a storage, the outbox alone."""

    def __init__(self, outbox: object) -> None:
        self.outbox = outbox
