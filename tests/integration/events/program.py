"""A consumer or a relay as a process of its own, which kills itself at the point it is told.

program.py consume BROKER_URL FOLDER POINT    notes its effects in FOLDER/effects
program.py relay BROKER_URL DATABASE_URL POINT
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import MetaData, create_engine

from extracted.chassis.events.consuming import consume
from extracted.chassis.events.envelope import Event
from extracted.chassis.events.payloads import UserRenamed
from extracted.chassis.events.port import Message, Outcome, Publisher, Subscription
from extracted.chassis.events.processed import Processed
from extracted.chassis.outbox import outbox_table
from extracted.chassis.outbox_store import SqlOutbox
from extracted.chassis.relaying import Relay
from tests.integration.events.conftest import DELAYS_S, open_at

POSTS = Subscription("posts", ("user.renamed",), DELAYS_S)


class Fuse:
    """Kills the process when the point is passed for the third time; never if it has no name."""

    def __init__(self, point: str) -> None:
        self._point = point
        self._left = 3

    def passes(self, point: str) -> None:
        if point != self._point:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class FusedMemory:
    """Dies before or after the note."""

    def __init__(self, memory: Processed, fuse: Fuse) -> None:
        self._memory = memory
        self._fuse = fuse

    def has(self, event_id: str) -> bool:
        self._fuse.passes("received")
        return self._memory.has(event_id)

    def add(self, event_id: str) -> None:
        self._fuse.passes("effect")
        self._memory.add(event_id)
        self._fuse.passes("noted")


class FusedPublisher:
    """Dies before it sends, when half is sent, or after the confirms."""

    def __init__(self, publisher: Publisher, fuse: Fuse) -> None:
        self._publisher = publisher
        self._fuse = fuse

    def publish_all(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        self._fuse.passes("claimed")
        half = len(messages) // 2
        outcomes = [*self._publisher.publish_all(messages[:half])]
        self._fuse.passes("halfway")
        outcomes += self._publisher.publish_all(messages[half:])
        self._fuse.passes("confirmed")
        return outcomes

    def close(self) -> None:
        self._publisher.close()


def consuming(broker_url: str, folder: Path, fuse: Fuse, stop: threading.Event) -> None:
    memory = Processed.in_file(folder / "processed.db", "posts")
    effects = (folder / "effects").open("a", buffering=1)

    def note(event: Event[UserRenamed]) -> None:
        effects.write(f"{event.id} {event.key} {event.payload.name}\n")

    consume(open_at(broker_url), POSTS, {UserRenamed: note}, FusedMemory(memory, fuse), stop)


def relaying(broker_url: str, database_url: str, fuse: Fuse) -> Relay:
    store = SqlOutbox(create_engine(database_url), outbox_table(MetaData()))
    return Relay(store, FusedPublisher(open_at(broker_url).publisher(), fuse), poll_s=0.02)


def main(what: str, broker_url: str, where: str, point: str) -> None:
    fuse = Fuse(point)
    if what == "relay":
        relay = relaying(broker_url, where, fuse)
        signal.signal(signal.SIGTERM, lambda *_: relay.end())
        relay.run()
        return
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    consuming(broker_url, Path(where), fuse, stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
