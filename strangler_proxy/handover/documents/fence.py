"""Shut collections to every writer but the mover: a rule that no document fulfils; see fence.Fence.

A collection's validator is that rule. MongoDB looks at it in each insert, update and replacement,
and changes it (collMod) with the collection for itself, so once it is changed whoever wrote before
has ended, transactions included. The mover writes past validators (bypassDocumentValidation).
The service's own validator is kept meanwhile, and is back when the collection is opened.

How the fence stands is one document; the rules follow it, in an order in which a death in between
refuses rather than lets pass. What this fence is less than that of the SQL databases:

- **deletes pass**: MongoDB has no rule for them. A proxy holds the requests that would delete; what
  a program deletes past it while the collections are shut is seen by verify alone;
- **it does not lapse**: a mover that dies between raising it and the end of a rollback leaves the
  collections refusing until it is started again;
- who may set bypassDocumentValidation may pass.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from bson import json_util

from strangler_proxy.handover.capture import PATIENCE, Patience
from strangler_proxy.handover.databases.fences import fence_table, has_moved
from strangler_proxy.handover.databases.mongodb.session import (
    MongoDatabase,
    MongoSession,
    mongo,
)
from strangler_proxy.handover.databases.mongodb.side import is_document
from strangler_proxy.handover.databases.mongodb.store import Document
from strangler_proxy.handover.databases.port import Session, Side, TableName
from strangler_proxy.handover.documents.stream import StreamCapture
from strangler_proxy.handover.faults import HandoverRefused, LockBusy
from strangler_proxy.handover.fence import FenceState, Standing

_REFUSING = (Standing.UP, Standing.SHUT)


class RuleFence:
    """One move's fence at MongoDB; `sides` are its tables there, all of them."""

    def __init__(self, database: MongoDatabase, move: str, sides: Sequence[Side]) -> None:
        self._database = database
        self._move = move
        self._sides = [side for side in sides if is_document(side)]
        self._collections = [side.collection for side in self._sides if not side.array]
        self._kept = fence_table(move)

    def install(
        self,
        *,
        shut: bool,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make what is missing; a fence that is new begins shut or open, another stays as it is.

        `shut` says besides that the collections follow: what opens them then begins the stream.
        """
        with closing(self._database.session(self._move)) as session:
            for collection in self._collections:
                session.store.create(collection)
            state = session.kept(self._kept)
            if state is None:
                standing = Standing.SHUT if shut else Standing.OPEN
                state = {"_id": 1, "state": str(standing), "until": 0.0, "rules": {}}
                session.put(self._kept, [state])
            if shut:
                session.put(self._kept, [{"_id": 1, "follows": True}])
            self._enforce(session, Standing(state["state"]) in _REFUSING, patience.lock_s)

    def remove(
        self,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Leave nothing of it; whatever it said, writers pass."""
        with closing(self._database.session(self._move)) as session:
            state = session.kept(self._kept)
            if state:
                self._collections = list(state["rules"])
                self._enforce(session, False, patience.lock_s)
            session.store.drop(self._kept)

    def missing(self, session: Session) -> tuple[str, ...]:
        """What of it is not there or not at work, as sentences."""
        at = mongo(session)
        state = at.kept(self._kept)
        if state is None:
            return (f"{self._kept}: the fence is not there",)
        if Standing(state["state"]) not in _REFUSING:
            return ()
        return tuple(
            f"{collection}: the validator that refuses writers is not there"
            for collection in self._collections
            if at.store.rule(collection) != self._rule(collection)
        )

    def state(self, session: Session) -> FenceState:
        """How it stands by the server's clock; one that is not there is OPEN."""
        at = mongo(session)
        state = at.kept(self._kept)
        if state is None:
            return FenceState(Standing.OPEN)
        standing = Standing(state["state"])
        if standing != Standing.UP:
            return FenceState(standing)
        left = state["until"] - at.store.hello().now_s
        return FenceState(Standing.UP, left) if left > 0 else FenceState(Standing.LAPSED)

    def raise_(self, session: Session, seconds: float, wait_s: float = 1.0) -> None:
        """Be up until `seconds` from this call, for what is decided by then; it refuses on.

        LockBusy, with the fence as it was, when writers that passed do not end within `wait_s`.
        """
        started, at = time.monotonic(), mongo(session)
        state = self._must_be_there(at)
        if state["state"] == Standing.SHUT:
            raise HandoverRefused(f"{self._kept} is shut: it cannot be put up for a time")
        now_s = at.store.hello().now_s
        self._set(at, Standing.UP, now_s + seconds - (time.monotonic() - started))
        try:
            self._enforce(at, True, wait_s)
        except LockBusy:
            self._set(at, Standing.OPEN)
            self._enforce(at, False, wait_s)
            raise

    def make_permanent(
        self, session: Session, pending: Callable[[Session], bool], wait_s: float = 1.0
    ) -> bool:
        """Shut for good if it is still up and nothing waits; else do nothing.

        The rules refuse already and do not lapse, so nobody writes between the question and the
        answer, but for deletes.
        """
        at = mongo(session)
        self._must_be_there(at)
        if self.state(session).standing != Standing.UP or pending(session):
            return False
        now_s = at.store.hello().now_s
        up = {"_id": 1, "state": str(Standing.UP), "until": {"$gt": now_s}}
        return at.store.swap(self._kept, up, {"state": str(Standing.SHUT)})

    def lift(self, session: Session, wait_s: float = 5.0) -> None:
        """Be open. May be called again: what was not done the first time is done then."""
        at = mongo(session)
        state = self._must_be_there(at)
        if state.get("follows"):
            # Behind the mover's last write and before anybody else's first.
            StreamCapture(self._database, self._move, self._sides).begin(at)
        at.put(self._kept, [{"_id": 1, "state": str(Standing.OPEN), "follows": False}])
        self._enforce(at, False, wait_s)

    def _enforce(self, session: MongoSession, refuse: bool, wait_s: float) -> None:
        """Have the rules say what the fence says, keeping the collections' own."""
        state = session.kept(self._kept) or {}
        own: dict[str, str] = dict(state.get("rules", {}))
        for collection in self._collections:
            ours, now = self._rule(collection), session.store.rule(collection)
            if refuse and now != ours:
                own[collection] = json_util.dumps(now)  # as text: its names begin with '$'
                session.put(self._kept, [{"_id": 1, "rules": own}])
                session.store.set_rule(collection, ours, wait_s)
            elif not refuse and now == ours:
                session.store.set_rule(collection, json_util.loads(own[collection]), wait_s)

    def _rule(self, collection: str) -> Document:
        """No document has this field; who is refused reads its name in the error's details."""
        told = has_moved(self._move, TableName(None, collection))
        validator = {"$jsonSchema": {"required": [told]}}
        return {"validator": validator, "validationLevel": "strict", "validationAction": "error"}

    def _set(self, session: MongoSession, standing: Standing, until: float = 0.0) -> None:
        session.put(self._kept, [{"_id": 1, "state": str(standing), "until": until}])

    def _must_be_there(self, session: MongoSession) -> dict[str, Any]:
        state = session.kept(self._kept)
        if state is None:
            raise HandoverRefused(f"{self._kept}: there is no fence to be changed")
        return state
