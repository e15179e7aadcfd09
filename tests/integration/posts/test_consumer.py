"""The consumer keeps copied names fresh: as a process, over a broker, past a move's fence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from extracted.chassis.database import open_engine
from extracted.chassis.events import Event, happened, open_broker
from extracted.chassis.events.payloads import Payload, Person, UserRegistered, UserRenamed
from extracted.posts.consumer import SUBSCRIPTION
from extracted.posts.opening import Storage, open_storage
from extracted.posts.settings import ConsumerSettings
from tests.consuming import consuming
from tests.integration.posts.running import settings
from tests.integration.posts.storages import NOON, write, writer
from tests.publishing import publish
from tests.wire_tools.proxy import until


@pytest.fixture
def chosen(tmp_path: Path) -> ConsumerSettings:
    made = settings(tmp_path)
    return ConsumerSettings(database_url=made.database_url, broker_url=made.broker_url)


@pytest.fixture
def storage(chosen: ConsumerSettings) -> Iterator[Storage]:
    with closing(open_storage(chosen.database_url)) as storage:
        yield storage


def publish_all(chosen: ConsumerSettings, *events: Event[Payload]) -> None:
    broker = open_broker(chosen.broker_url)
    with closing(broker.consumer(SUBSCRIPTION)) as consumer:
        consumer.receive(0.0)  # makes the queue
    with closing(broker.publisher()) as publisher:
        publish(publisher, *(event.message() for event in events))


def renamed(name: str, hours: int = 1) -> Event[UserRenamed]:
    return happened(UserRenamed(user_id=1, name=name), at=NOON + timedelta(hours=hours))


def name_of(storage: Storage, post_id: int) -> str:
    post = storage.repository().find(post_id)
    assert post is not None
    return post.author_name


def test_the_command_renames_and_stops_when_told(
    chosen: ConsumerSettings, storage: Storage
) -> None:
    post = write(storage.repository())
    publish_all(chosen, renamed("Anna"))
    environ = {
        **os.environ,
        "DATABASE_URL": chosen.database_url,
        "BROKER_URL": chosen.broker_url,
    }
    command = [sys.executable, "-m", "extracted.posts.consumer"]
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: name_of(storage, post.id) == "Anna", "the post is renamed", 40)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()


def test_the_command_tells_what_is_not_set() -> None:
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DATABASE_URL", "BROKER_URL"}
    }
    done = subprocess.run(
        [sys.executable, "-m", "extracted.posts.consumer"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "DATABASE_URL is not set" in done.stderr
    assert "BROKER_URL is not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_event_of_an_older_name_that_is_replayed_last_does_not_win(
    chosen: ConsumerSettings, storage: Storage
) -> None:
    post = write(storage.repository())
    older, newer = renamed("Older", 1), renamed("Newer", 2)
    last = happened(UserRenamed(user_id=2, name="Bob"), at=NOON + timedelta(hours=3))
    other = write(storage.repository(), writer(2, "Rob"))
    publish_all(chosen, newer, older, newer, last)
    with consuming(chosen):
        until(lambda: name_of(storage, other.id) == "Bob", "all are handled", 40)
    assert name_of(storage, post.id) == "Newer"


def test_a_new_users_name_is_known_before_he_writes(
    chosen: ConsumerSettings, storage: Storage
) -> None:
    person = Person(id=1, name="Anna", email="a@example.org")
    publish_all(chosen, happened(UserRegistered(user=person), at=NOON + timedelta(hours=1)))
    with consuming(chosen):
        until(lambda: write(storage.repository()).author_name == "Anna", "the name is known", 40)


def test_while_a_table_is_shut_a_rename_waits_and_counts_no_failure(
    chosen: ConsumerSettings, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    post = write(storage.repository())
    engine = open_engine(chosen.database_url)
    with engine.begin() as connection:
        # As the fence of a move refuses; the whole move is in test_moving.py.
        shut = "SELECT RAISE(ABORT, 'posts takes no writes here')"
        connection.execute(text(f"CREATE TRIGGER shut BEFORE UPDATE ON posts BEGIN {shut}; END"))
    publish_all(chosen, renamed("Anna"))
    with consuming(chosen):
        until(lambda: "takes no writes here" in caplog.text, "it is refused", 40)
        with engine.begin() as connection:
            connection.execute(text("DROP TRIGGER shut"))
        until(lambda: name_of(storage, post.id) == "Anna", "the post is renamed", 40)
    engine.dispose()
    assert "failed for the" not in caplog.text
