"""Takes messages from a queue of the file under leases, in order within each key."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable

from extracted.chassis.events.embedded.file import EventFile, message
from extracted.chassis.events.port import (
    DELIVERY_LIMIT,
    MAX_REASON_CHARS,
    BrokerUnavailableError,
    Delivery,
    QueueFullError,
    Subscription,
)

POLL_S = 0.05

# The first by place whose time has come and before which no other of its key waits.
NEXT = """
SELECT place, id, topic, order_key, body, failures, deliveries FROM waiting AS this
WHERE queue = :queue AND due_s <= :now AND lease_until_s <= :now AND NOT EXISTS (
    SELECT 1 FROM waiting AS earlier
    WHERE earlier.queue = this.queue AND earlier.order_key = this.order_key
    AND earlier.place < this.place
)
ORDER BY place LIMIT 1
"""
LEASE = """
UPDATE waiting SET lease = :lease, lease_until_s = :until, deliveries = deliveries + 1
WHERE place = :place AND lease_until_s <= :now
"""
RETRY = """
UPDATE waiting SET lease = NULL, lease_until_s = 0, due_s = ?, failures = failures + 1,
    deliveries = 0
WHERE place = ? AND lease = ?
"""
GIVE_BACK = """
UPDATE waiting SET lease = NULL, lease_until_s = 0, deliveries = deliveries - 1 WHERE lease = ?
"""
BURY = """
INSERT INTO dead (queue, id, topic, order_key, body, failures, reason, died_s)
SELECT queue, id, topic, order_key, body, failures + 1, ?, ? FROM waiting
WHERE place = ? AND lease = ?
"""


class EmbeddedConsumer:
    """See `port.Consumer`. Several on one queue share its keys between them."""

    def __init__(
        self,
        file: EventFile,
        subscription: Subscription,
        lease_s: float,
        max_dead: int,
        clock: Callable[[], float],
    ) -> None:
        self._file = file
        self._subscription = subscription
        self._lease_s = lease_s
        self._max_dead = max_dead
        self._clock = clock
        self._lease = uuid.uuid4().hex
        self._declared = False

    def receive(self, timeout_s: float) -> Delivery | None:
        """See `port.Consumer`."""
        give_up = time.monotonic() + timeout_s
        while (delivery := self._taken()) is None and (left_s := give_up - time.monotonic()) > 0:
            time.sleep(min(POLL_S, left_s))
        return delivery

    def done(self, delivery: Delivery) -> None:
        """See `port.Consumer`."""
        with self._file.writing() as connection:
            self._remove(connection, delivery)

    def retry(self, delivery: Delivery, delay_s: float) -> None:
        """See `port.Consumer`. It keeps its place, and so those behind it keep theirs."""
        with self._file.writing() as connection:
            due_s = self._clock() + delay_s
            connection.execute(RETRY, (due_s, delivery.receipt, self._lease))

    def bury(self, delivery: Delivery, reason: str) -> None:
        """See `port.Consumer`."""
        with self._file.writing() as connection:
            self._room_for_dead(connection)
            values = (reason[:MAX_REASON_CHARS], self._clock(), delivery.receipt, self._lease)
            connection.execute(BURY, values)
            self._remove(connection, delivery)

    def wait(self, delivery: Delivery, seconds: float) -> None:
        """See `port.Consumer`."""
        over = time.monotonic() + seconds
        while (left_s := over - time.monotonic()) > 0:
            with self._file.writing() as connection:
                until_s = self._clock() + self._lease_s
                connection.execute(
                    "UPDATE waiting SET lease_until_s = ? WHERE place = ? AND lease = ?",
                    (until_s, delivery.receipt, self._lease),
                )
            time.sleep(min(left_s, self._lease_s / 3))

    def close(self) -> None:
        """See `port.Consumer`."""
        try:
            if self._declared:
                with self._file.writing() as connection:
                    connection.execute(GIVE_BACK, (self._lease,))
        except BrokerUnavailableError:
            pass  # the lease ends by itself
        finally:
            self._file.close()

    def _taken(self) -> Delivery | None:
        if not self._declared:
            self._declare()
        now = self._clock()
        with self._file.reading() as connection:
            values = {"queue": self._subscription.queue, "now": now}
            row = connection.execute(NEXT, values).fetchone()
            if row is None:
                return None
            until_s = now + self._lease_s
            values = {"place": row["place"], "lease": self._lease, "until": until_s, "now": now}
            if connection.execute(LEASE, values).rowcount == 0:
                return None  # another consumer was faster
        delivery = Delivery(message(row), row["failures"], row["place"])
        if row["deliveries"] > DELIVERY_LIMIT:
            self._put_aside(delivery, row["deliveries"])
            return None
        return delivery

    def _put_aside(self, delivery: Delivery, times: int) -> None:
        try:
            self.bury(delivery, f"Its consumer ended {times} times while it had this in hand.")
        except QueueFullError:
            delay_s = max(self._subscription.delays_s, default=None)
            if delay_s is None:
                raise
            self.retry(delivery, delay_s)

    def _declare(self) -> None:
        queue = self._subscription.queue
        with self._file.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO queue (name) VALUES (?)", (queue,))
            connection.executemany(
                "INSERT OR IGNORE INTO binding (queue, pattern) VALUES (?, ?)",
                [(queue, topic) for topic in self._subscription.topics],
            )
        self._declared = True

    def _remove(self, connection: sqlite3.Connection, delivery: Delivery) -> None:
        connection.execute(
            "DELETE FROM waiting WHERE place = ? AND lease = ?", (delivery.receipt, self._lease)
        )

    def _room_for_dead(self, connection: sqlite3.Connection) -> None:
        queue = self._subscription.queue
        (dead,) = connection.execute(
            "SELECT count(*) FROM dead WHERE queue = ?", (queue,)
        ).fetchone()
        if dead >= self._max_dead:
            raise QueueFullError(
                f"{dead} dead letters of the queue {queue} are waiting for a person, and there is"
                " no room for more: replay or discard them."
            )
