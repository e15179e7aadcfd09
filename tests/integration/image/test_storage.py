"""The storage port: one suite for S3 and for the fake that stands in for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from extracted.chassis.tokens import TokenSettings
from extracted.image.service import new_name
from extracted.image.settings import Settings
from extracted.image.storage import S3Storage, Storage, StorageError
from tests.blog import NOWHERE, SECRET
from tests.conftest import S3
from tests.pictures_in_memory import MemoryStorage


@pytest.fixture(params=["s3", "memory"])
def storage(request: pytest.FixtureRequest) -> Iterator[Storage]:
    if request.param == "memory":
        yield MemoryStorage()
        return
    s3: S3 = request.getfixturevalue("s3")
    settings = Settings(
        tokens=TokenSettings(SECRET),
        aws_access_key_id="x",
        aws_secret_access_key="x",
        **s3.settings(),
    )
    storage = S3Storage(settings)
    yield storage
    storage.close()


def test_what_was_put_is_read_whole(storage: Storage) -> None:
    name, jpeg = new_name(), bytes(range(256)) * 1000
    storage.put(name, jpeg)
    reading = storage.open(name)
    assert reading is not None
    assert b"".join(reading.chunks) == jpeg
    reading.close()
    assert reading.facts == storage.look(name)
    assert reading.facts.size == len(jpeg)


def test_an_etag_is_quoted_and_tells_contents_apart(storage: Storage) -> None:
    names = [new_name() for _ in range(3)]
    for name, jpeg in zip(names, (b"one", b"two", b"one"), strict=True):
        storage.put(name, jpeg)
    tags = [facts.etag for facts in map(storage.look, names) if facts]
    assert tags[0] == tags[2] != tags[1]
    assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)


def test_what_is_not_there_is_none(storage: Storage) -> None:
    assert storage.look(new_name()) is None
    assert storage.open(new_name()) is None


def test_a_reading_may_be_closed_unread(storage: Storage) -> None:
    name = new_name()
    storage.put(name, b"x" * 1_000_000)
    reading = storage.open(name)
    assert reading is not None
    reading.close()


def test_pictures_put_at_once_do_not_mix(storage: Storage) -> None:
    names = [new_name() for _ in range(8)]
    threads = [
        threading.Thread(target=storage.put, args=(name, name.encode() * 1000)) for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        reading = storage.open(name)
        assert reading is not None
        assert b"".join(reading.chunks) == name.encode() * 1000
        reading.close()


@pytest.mark.parametrize("bucket", ["no-such-bucket", "nowhere"])
def test_s3_that_cannot_keep_says_so(s3: S3, bucket: str) -> None:
    settings = Settings(
        tokens=TokenSettings(SECRET),
        s3_bucket=bucket,
        s3_endpoint_url=f"http://{NOWHERE}" if bucket == "nowhere" else s3.endpoint_url,
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    storage = S3Storage(settings)
    with pytest.raises(StorageError):
        storage.put(new_name(), b"x")
    storage.close()
