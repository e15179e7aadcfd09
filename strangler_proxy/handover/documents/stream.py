"""What changes in the collections, read from MongoDB's stream of changes; see capture.Capture.

There is nothing to install but a mark: where the stream is to go on. It is set when the collections
are opened to writers, behind the mover's last write and before anybody else's first, so what comes
behind it is theirs. While the collections follow, they are shut and nobody looks: verify does.

A stream needs a replica set, if of one server. Without one there is no way back, so no cut-over.

It shows no one who writes, and goes back as far as the oplog reaches: a mover that is stopped for
longer than that finds its mark gone, and says so.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import Any

from strangler_proxy.handover.capture import PATIENCE, Backlog, Entry, Patience
from strangler_proxy.handover.databases.fences import fence_table
from strangler_proxy.handover.databases.mongodb.session import (
    MongoDatabase,
    MongoSession,
    mongo,
)
from strangler_proxy.handover.databases.mongodb.side import Shape, is_document
from strangler_proxy.handover.databases.mongodb.store import Changed, Document
from strangler_proxy.handover.databases.port import Row, Session, Side
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.installing import Lack
from strangler_proxy.handover.naming import change_table
from strangler_proxy.handover.writers import Writer

_ENDS = "dropped or renamed, which names no documents: start its move again"
_COUNTED = 10_000
_KEPT_S = 30.0  # how old a mark may grow while nothing changes


class StreamCapture:
    """One move's capture at MongoDB; `sides` are its tables there, all of them."""

    def __init__(self, database: MongoDatabase, move: str, sides: Sequence[Side]) -> None:
        self._database = database
        self._move = move
        self._sides = [side for side in sides if is_document(side)]
        self._roots = {side.collection: Shape(side) for side in self._sides if not side.array}
        self.changes = change_table(move)
        """The collection that keeps the mark."""
        self._kept_at = time.monotonic()

    def install(
        self,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """A place for the mark."""
        with closing(self._database.session(self._move)) as session:
            session.store.create(self.changes)

    def upgrade(
        self,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """No earlier version made one."""

    def remove(
        self,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Leave nothing of it."""
        with closing(self._database.session()) as session:
            session.store.drop(self.changes)

    def missing(self, session: Session) -> tuple[str, ...]:
        """Why changes cannot be seen, as sentences."""
        at = mongo(session)
        if at.store.hello().replica_set:
            return ()
        return (
            f"{at.shown} is no replica set, so it does not tell what changes and there would "
            "be no way back: make it one, of one server if need be",
        )

    def lacking(self, session: Session) -> tuple[Lack, ...]:
        """None: a stream has no triggers."""
        return ()

    def begin(self, session: MongoSession) -> None:
        """Let the stream begin here; called while the collections are shut."""
        session.put(self.changes, [{"_id": 1, "mark": session.store.position()}])

    def entries(self, session: Session, most: int) -> list[Entry]:
        """Changes that wait, in their order. HandoverRefused for a collection that was dropped."""
        return [
            Entry(change.mark, change.collection, self._key(change))
            for change in self._seen(session, most)
        ]

    def enter(self, session: Session, table: str, key: str) -> None:
        """Nothing can be entered into a stream."""
        raise HandoverRefused(f"{table}: a stream of changes takes no entry of {key}")

    def forget(self, session: Session, entries: Sequence[Entry]) -> None:
        """The mark goes on behind these, which are the first."""
        if entries:
            mongo(session).put(self.changes, [{"_id": 1, "mark": entries[-1].id}])

    def notes_writers(self, session: Session) -> bool:
        """MongoDB does not tell who writes."""
        return False

    def writers(self, session: Session) -> list[Writer]:
        """Nobody is known."""
        return []

    def makers(self, session: Session, most: int) -> dict[Any, tuple[str, str | None]]:
        """So many of the changes that wait: the collection, and nobody."""
        found = self._seen(session, most)
        return {str(change.mark): (change.collection, None) for change in found}

    def backlog(self, session: Session) -> Backlog:
        """How much waits, counted up to some thousands."""
        found = self._seen(session, _COUNTED)
        return Backlog(len(found), min((change.at for change in found), default=None))

    def _key(self, change: Changed) -> Row:
        try:
            return self._roots[change.collection].key(change.identifier)
        except HandoverRefused as refused:
            raise HandoverRefused(
                f"{change.collection} has a document that no row could be: {refused}"
            ) from refused

    def _seen(self, session: Session, most: int) -> list[Changed]:
        at = mongo(session)
        kept = at.kept(self.changes)
        fence = at.kept(fence_table(self._move)) or {}
        if not kept or "mark" not in kept or fence.get("follows"):
            return []  # while they follow, the changes are the mover's own
        mark: Document = kept["mark"]
        found, behind = at.store.changes(list(self._roots), mark, most)
        _refuse_ended(found)
        if not found and time.monotonic() - self._kept_at > _KEPT_S:
            at.put(self.changes, [{"_id": 1, "mark": behind}])  # or the oplog outgrows it
            self._kept_at = time.monotonic()
        return found


def _refuse_ended(found: Iterable[Changed]) -> None:
    ended = sorted({change.collection for change in found if change.identifier is None})
    if ended:
        raise HandoverRefused(f"{collection} was {_ENDS}" for collection in ended)
