"""Sends what is in an outbox to the broker, in the order of each key, at least once.

An event is marked as sent after the broker's confirm: killed in between, it is sent again. Events
of different keys are under way together; of one key there is one, because whatever becomes of it
decides about those behind it. While the broker or the database is away nothing is lost and nobody
waits but the relay.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from extracted.chassis.events.pace import Outage
from extracted.chassis.events.port import (
    BrokerUnavailableError,
    Outcome,
    Publisher,
    UnroutedError,
)
from extracted.chassis.outbox_store import Backlog, OutboxStore, Recorded

log = logging.getLogger(__name__)

# The most that is sent twice after a kill, and that a claim is held for.
BATCH = 50
POLL_S = 0.25
UNROUTED_S = 15.0
KEEP_SENT_S = 24 * 3600.0
PURGE_EVERY_S = 60.0
STOP_S = 10.0


@dataclass(slots=True)
class _Done:
    """What a claim has come to: what was sent, what waits, by its key, and why it ended early."""

    sent: list[Any] = field(default_factory=list)
    postponed: dict[str, Any] = field(default_factory=dict)
    unavailable: BrokerUnavailableError | None = None


class Relay:
    """Runs in a thread of its service (`start`) or as a process (`run`); several may at once."""

    def __init__(
        self,
        store: OutboxStore,
        publisher: Publisher,
        *,
        poll_s: float = POLL_S,
        keep_sent_s: float = KEEP_SENT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._poll_s = poll_s
        self._keep_sent_s = keep_sent_s
        self._clock = clock
        self._woken = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._outage = Outage("Relay")
        self._purged_at = clock()
        self._unrouted: set[str] = set()
        self._asked = False
        self._seen: tuple[Backlog, float] | None = None

    def wake(self) -> None:
        """There is something to send: look now instead of at the next poll."""
        self._woken.set()

    def backlog(self) -> Backlog:
        """What waits to be sent. Raises what the database raises."""
        return self._store.backlog()

    def details(self) -> dict[str, Any]:
        """The backlog for a health check: as last seen, `seen_s` seconds ago, or nothing yet.

        From memory. The relay looks again in its next round, a quarter of a second later, or up to
        15 s later while the broker or the database is away.
        """
        self._asked = True
        if self._seen is None:
            return {"outbox": None}
        backlog, at = self._seen
        seen_s = self._clock() - at
        told = {"events": backlog.events, "oldest_s": backlog.oldest_s, "seen_s": seen_s}
        return {"outbox": {name: round(number, 1) for name, number in told.items()}}

    def start(self) -> None:
        """Begin in a thread of its own; after any fork, as threads do not survive one."""
        self._thread = threading.Thread(target=self.run, name="outbox-relay", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the events that are under way, and let go of the broker."""
        self.end()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def end(self) -> None:
        """Have `run` return soon. May be called by a signal handler."""
        self._ended.set()
        self._woken.set()

    def run(self) -> None:
        """Send until told to end."""
        try:
            while not self._ended.is_set():
                self._wait(self._round())
        finally:
            self._publisher.close()

    def send_waiting(self) -> int:
        """Send one batch of what waits; how many events were sent.

        Raises BrokerUnavailableError, with what was confirmed before marked as sent, and what the
        database raises.
        """
        with self._store.claim(BATCH) as claim:
            done = self._send(claim.events)
            claim.settle(done.sent, list(done.postponed.values()), UNROUTED_S)
        if done.unavailable is not None:
            raise done.unavailable
        return len(done.sent)

    def _send(self, events: Sequence[Recorded]) -> _Done:
        """Send as far as it goes: of each key the first event, then of each key the second, …"""
        done = _Done()
        for turn in turns(events):
            if self._ended.is_set() or done.unavailable is not None:
                break
            going = [event for event in turn if event.message.key not in done.postponed]
            outcomes = self._publisher.publish_all([event.message for event in going])
            for event, outcome in zip(going, outcomes, strict=True):
                self._note(event, outcome, done)
        return done

    def _note(self, event: Recorded, outcome: Outcome, done: _Done) -> None:
        message = event.message
        if outcome is None:
            done.sent.append(event.place)
            self._unrouted.discard(message.topic)
        elif isinstance(outcome, UnroutedError):
            done.postponed[message.key] = event.place
            self._tell_unrouted(message.topic, outcome)
        else:
            done.unavailable = outcome

    def _round(self) -> float:
        """Send a batch and say how long to wait before the next."""
        self._woken.clear()
        try:
            self._look()
            sent = self.send_waiting()
            self._purge()
        except Exception as error:  # noqa: BLE001 (whatever it is, the relay must live on)
            return self._outage.wait_s(error)
        self._outage.over()
        return 0.0 if sent else self._poll_s

    def _wait(self, seconds: float) -> None:
        if seconds <= self._poll_s:
            self._woken.wait(seconds)
        else:
            self._ended.wait(seconds)  # in an outage, new events are no reason to try

    def _look(self) -> None:
        """Count what waits, for whoever has asked since the last time."""
        if self._asked:
            self._asked = False
            self._seen = self._store.backlog(), self._clock()

    def _purge(self) -> None:
        if self._clock() - self._purged_at < PURGE_EVERY_S:
            return
        # A thousand a round until nothing is old any longer, and then not for a while.
        if self._store.purge(self._keep_sent_s) == 0:
            self._purged_at = self._clock()

    def _tell_unrouted(self, topic: str, error: UnroutedError) -> None:
        if topic not in self._unrouted:
            self._unrouted.add(topic)
            log.warning("%s", error)


def turns(events: Iterable[Recorded]) -> list[list[Recorded]]:
    """Of each key the first event, then of each key the second, and so on."""
    turns: list[list[Recorded]] = []
    seen: Counter[str] = Counter()
    for event in events:
        key = event.message.key
        if seen[key] == len(turns):
            turns.append([])
        turns[seen[key]].append(event)
        seen[key] += 1
    return turns
