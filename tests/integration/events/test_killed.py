"""Consumers and relays as processes, killed at every point of their work, and what is left then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from extracted.chassis.events.envelope import Event
from extracted.chassis.events.payloads import UserRenamed
from scripts.processes import ROOT, stop_group
from tests.integration.events.conftest import Place, empty, eventually
from tests.integration.events.outboxes import Desk, renamed
from tests.integration.events.program import POSTS
from tests.publishing import publish


class Site:
    """A broker, an outbox in SQLite, and the processes at work on both."""

    def __init__(self, place: Place, folder: Path, stack: ExitStack) -> None:
        self.place = place
        self.folder = folder
        self._stack = stack
        self.desk = Desk(f"sqlite:///{folder}/service.db")
        stack.callback(self.desk.engine.dispose)
        consumer = place.consumer(POSTS)
        assert empty(consumer)  # the queue is there
        consumer.close()

    def consume(self, point: str = "") -> subprocess.Popen[bytes]:
        return self._start("consume", str(self.folder), point)

    def relay(self, point: str = "") -> subprocess.Popen[bytes]:
        return self._start("relay", self.desk.url, point)

    def effects(self) -> list[str]:
        """The ids of the events that had an effect, in order."""
        file = self.folder / "effects"
        return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []

    def _start(self, what: str, where: str, point: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            (
                *(sys.executable, "-m", "tests.integration.events.program"),
                *(what, self.place.url, where, point),
            ),
            cwd=ROOT,
            env=os.environ,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._stack.callback(stop_group, process, 5.0)
        return process


@pytest.fixture
def site(place: Place, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(place, tmp_path, stack)


def some_events() -> list[Event[UserRenamed]]:
    return [renamed(f"n{number}", user_id=1 + number % 2) for number in range(8)]


def firsts(ids: list[str]) -> list[str]:
    """Without what comes again."""
    return list(dict.fromkeys(ids))


def in_order(ids: list[str], events: list[Event[UserRenamed]]) -> bool:
    """Whether all are there, each key's in the order in which they were recorded."""
    by_id = {event.id: event for event in events}
    keys = {event.key for event in events}
    return all(
        [each for each in firsts(ids) if by_id[each].key == key]
        == [event.id for event in events if event.key == key]
        for key in keys
    )


def killed(process: subprocess.Popen[bytes]) -> bool:
    return process.wait(30) == -signal.SIGKILL


@pytest.mark.parametrize(("point", "twice"), [("received", 0), ("effect", 1), ("noted", 0)])
def test_a_consumer_killed_at_any_point_loses_nothing(site: Site, point: str, twice: int) -> None:
    events = some_events()
    publisher = site.place.publisher()
    for event in events:
        publish(publisher, event.message())
    assert killed(site.consume(point))
    site.consume()
    eventually(lambda: len(set(site.effects())) == len(events), "all have had their effect")
    assert in_order(site.effects(), events)
    # Between the effect and the note of it nobody can know: that one, and no other, comes twice.
    assert len(site.effects()) == len(events) + twice


@pytest.mark.parametrize("point", ["claimed", "halfway", "confirmed"])
def test_a_relay_killed_at_any_point_loses_nothing_and_nothing_is_handled_twice(
    site: Site, point: str
) -> None:
    events = some_events()
    site.desk.record(*events)
    assert killed(site.relay(point))
    assert site.desk.store.backlog().events == len(events)
    site.consume()
    relay = site.relay()
    eventually(lambda: site.desk.store.backlog().events == 0, "all are sent")
    eventually(lambda: len(site.effects()) >= len(events), "all have had their effect")
    assert site.effects() == firsts(site.effects())
    assert in_order(site.effects(), events)
    relay.terminate()
    assert relay.wait(15) == 0


def test_a_consumer_told_to_stop_ends_by_itself(site: Site) -> None:
    publish(site.place.publisher(), renamed("Mina").message())
    consumer = site.consume()
    eventually(site.effects, "it is at work")
    consumer.terminate()
    assert consumer.wait(15) == 0
